//! A relay to a fake or real server that records requests and can lose them. It speaks just enough HTTP: one request
//! per connection.

use std::io::{self, Read, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use super::fake_server::Recorded;

/// The fate of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It does not arrive.
    Request,
    /// It arrives, but its answer is lost.
    Answer,
    /// Its answer comes after the client has left.
    Late,
    /// It does not arrive, and nothing else does until [`Relay::open`].
    Before,
    /// It arrives; then nothing passes until [`Relay::open`], not even its answer.
    After,
}

pub(crate) struct Relay {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// The server.
    to: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    requests: Vec<Recorded>,
    planned: Option<(String, Cut)>,
    shut: bool,
    ended: bool,
}

impl Relay {
    /// A relay to the server at this address.
    pub(crate) fn to(url: &str) -> Self {
        let to = url.strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { to, state: Mutex::default(), changed: Condvar::new() });
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for client in listener.incoming().map_while(Result::ok) {
                    if shared.state().ended {
                        return;
                    }
                    let shared = Arc::clone(&shared);
                    // The client may hang up.
                    std::thread::spawn(move || shared.pass(client).ok());
                }
            }
        });
        Self { shared, address, thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts at the next request whose line contains `of`.
    pub(crate) fn cut(&self, of: &str, cut: Cut) {
        self.shared.state().planned = Some((of.to_owned(), cut));
    }

    /// Blocks until the connection is cut.
    pub(crate) fn wait_until_shut(&self) {
        let deadline = Duration::from_secs(30);
        let state = self.shared.state();
        let (_state, late) = self.shared.changed.wait_timeout_while(state, deadline, |state| !state.shut).unwrap();
        assert!(!late.timed_out(), "what was to be cut did not come");
    }

    /// Lets everything through again. Stopped requests are lost.
    pub(crate) fn open(&self) {
        self.shared.state().shut = false;
        self.shared.changed.notify_all();
    }

    /// All requests since the last call, cut or not.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.shared.state().requests)
    }

    /// The lines of all writing requests.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.requests().iter().map(Recorded::line).filter(|line| !line.starts_with("GET ")).collect()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            (state.ended, state.shut) = (true, false);
        }
        self.shared.changed.notify_all();
        // It waits for a connection.
        TcpStream::connect(self.address).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn pass(&self, mut client: TcpStream) -> io::Result<()> {
        let (request, recorded) = read(&mut client)?;
        let line = recorded.line();
        let (cut, shut) = {
            let mut state = self.state();
            state.requests.push(recorded);
            let cut = state.planned.take_if(|(of, _)| line.contains(of.as_str())).map(|(_, cut)| cut);
            state.shut |= cut == Some(Cut::Before);
            (cut, state.shut)
        };
        if shut {
            self.stop();
            return Ok(());
        }
        if cut == Some(Cut::Request) {
            return Ok(());
        }
        let answer = self.ask(&request)?;
        match cut {
            None => client.write_all(&answer),
            Some(Cut::Late) => client.read(&mut [0]).map(drop),
            Some(Cut::After) => {
                self.state().shut = true;
                self.stop();
                Ok(())
            }
            Some(Cut::Answer | Cut::Request | Cut::Before) => Ok(()),
        }
    }

    /// Blocks everything until the relay is opened.
    fn stop(&self) {
        self.changed.notify_all();
        drop(self.changed.wait_while(self.state(), |state| state.shut));
    }

    /// The complete answer: the server closes the connection after it.
    fn ask(&self, request: &[u8]) -> io::Result<Vec<u8>> {
        let mut server = TcpStream::connect(self.to)?;
        server.write_all(request)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        server.shutdown(Shutdown::Both).ok();
        Ok(answer)
    }
}

/// One request as it is passed on, with `Connection: close`.
fn read(client: &mut TcpStream) -> io::Result<(Vec<u8>, Recorded)> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 8192]);
    let (head, body_at) = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break (String::from_utf8_lossy(&bytes[..end]).into_owned(), end + 4);
        }
        bytes.extend_from_slice(&more(client, &mut chunk)?);
    };
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, path) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let length = lines.clone().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    while bytes.len() < body_at + length.unwrap_or_default() {
        bytes.extend_from_slice(&more(client, &mut chunk)?);
    }
    let body = &bytes[body_at..];
    let request = [head.as_bytes(), b"\r\nconnection: close\r\n\r\n", body].concat();
    let body = serde_json::from_slice(body).unwrap_or_default();
    Ok((request, Recorded { method, path, body }))
}

fn more(client: &mut TcpStream, chunk: &mut [u8]) -> io::Result<Vec<u8>> {
    match client.read(chunk)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        n => Ok(chunk[..n].to_vec()),
    }
}
