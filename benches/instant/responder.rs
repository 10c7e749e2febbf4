//! A server that answers at once, and notes when the last byte of each request has arrived. It keeps texts, answers in the
//! shapes of Open WebUI 0.12, and refuses nothing; what the tests' fake server knows beyond that costs time.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::wire::message;

/// As long as uvicorn keeps a connection that is not used.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// What was asked, and when the last byte of it was here.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    /// `POST /api/v1/functions/id/clock/update`
    pub(crate) line: String,
}

impl Seen {
    /// The plugin that is updated or created in a way that names it.
    pub(crate) fn updates(&self) -> Option<&str> {
        self.line.strip_prefix("POST /api/v1/functions/id/")?.strip_suffix("/update")
    }
}

pub(crate) struct Responder {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// The rows as they are sent, by id.
    rows: Mutex<BTreeMap<String, Arc<[u8]>>>,
    seen: Mutex<Vec<Seen>>,
    arrived: Condvar,
    /// How long a connection may be idle.
    patience: Option<Duration>,
    /// How many updates are being answered, and how many it was at most.
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

impl Responder {
    pub(crate) fn start(patience: Option<Duration>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            rows: Mutex::default(),
            seen: Mutex::default(),
            arrived: Condvar::new(),
            patience,
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
        });
        let served = Arc::clone(&shared);
        // It ends with the program.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&served);
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Holds a text as if it had been deployed.
    pub(crate) fn seed(&self, id: &str, text: &str) {
        let meta = json!({ "description": "", "manifest": {} });
        self.shared.rows.lock().unwrap().insert(id.to_owned(), row(id, id, text, &meta));
    }

    /// The text that it holds.
    pub(crate) fn text(&self, id: &str) -> String {
        let row: Value = serde_json::from_slice(&self.shared.rows.lock().unwrap()[id]).unwrap();
        row["content"].as_str().unwrap().to_owned()
    }

    /// What was asked since this was last called.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.shared.seen.lock().unwrap())
    }

    /// Waits until this was asked since the last [`Responder::take`], and answers when.
    pub(crate) fn wait_for(&self, line: &str) -> Instant {
        self.wait_until(line, |seen| Some(seen.iter().find(|seen| seen.line == line)?.at))
    }

    /// Waits until as many updates have arrived since the last [`Responder::take`].
    pub(crate) fn wait_for_updates(&self, times: usize) {
        let all = |seen: &[Seen]| (seen.iter().filter(|seen| seen.updates().is_some()).count() >= times).then_some(());
        self.wait_until("updates", all);
    }

    fn wait_until<T>(&self, what: &str, find: impl Fn(&[Seen]) -> Option<T>) -> T {
        let mut seen = self.shared.seen.lock().unwrap();
        loop {
            if let Some(found) = find(&seen) {
                return found;
            }
            let (next, late) = self.shared.arrived.wait_timeout(seen, Duration::from_mins(1)).unwrap();
            assert!(!late.timed_out(), "waited for {what}, and got {:?}", next.last());
            seen = next;
        }
    }

    /// How many updates it has had to answer at once, at most.
    pub(crate) fn most_under_way(&self) -> usize {
        self.shared.most_under_way.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(self.patience).unwrap();
        let mut buffer = Vec::new();
        while let Some((head, body)) = message(&mut stream, &mut buffer) {
            let at = Instant::now();
            let mut words = head.split(' ');
            let line = format!("{} {}", words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let is_update = line.ends_with("/update");
            if is_update {
                let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
                self.most_under_way.fetch_max(now, Ordering::SeqCst);
            }
            self.seen.lock().unwrap().push(Seen { at, line: line.clone() });
            self.arrived.notify_all();
            let (status, answer) = self.answer(&line, &body);
            let mut message = format!(
                "HTTP/1.1 {status} OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                answer.len()
            )
            .into_bytes();
            message.extend_from_slice(&answer);
            if is_update {
                self.under_way.fetch_sub(1, Ordering::SeqCst);
            }
            if stream.write_all(&message).is_err() {
                return;
            }
        }
    }

    fn answer(&self, line: &str, body: &[u8]) -> (u16, Arc<[u8]>) {
        let path: Vec<_> = line.split('/').skip(1).collect();
        match (line.starts_with("GET"), &path[..]) {
            (true, ["api", "version"]) => (200, br#"{"version":"0.12.4","deployment_id":""}"#.as_slice().into()),
            (true, ["api", "v1", "functions", "export"]) => {
                let rows = self.rows.lock().unwrap();
                let mut all = Vec::with_capacity(rows.values().map(|row| row.len() + 1).sum::<usize>() + 2);
                all.push(b'[');
                for row in rows.values() {
                    all.extend_from_slice(row);
                    all.push(b',');
                }
                if all.len() > 1 {
                    all.pop();
                }
                all.push(b']');
                (200, all.into())
            }
            (true, ["api", "v1", "functions", "id", id]) => match self.rows.lock().unwrap().get(*id) {
                Some(row) => (200, Arc::clone(row)),
                None => (401, br#"{"detail":"We could not find what you're looking for :/"}"#.as_slice().into()),
            },
            (false, ["api", "v1", "functions", "create"] | ["api", "v1", "functions", "id", _, "update"]) => {
                let form: Value = serde_json::from_slice(body).unwrap();
                let text = |field: &str| form[field].as_str().unwrap();
                let row = row(text("id"), text("name"), text("content"), &form["meta"]);
                self.rows.lock().unwrap().insert(text("id").to_owned(), Arc::clone(&row));
                (200, row)
            }
            _ => (404, br#"{"detail":"Not Found"}"#.as_slice().into()),
        }
    }
}

fn row(id: &str, name: &str, text: &str, meta: &Value) -> Arc<[u8]> {
    let row = json!({
        "id": id,
        "user_id": "00000000-0000-4000-8000-000000000001",
        "name": name,
        "type": "filter",
        "content": text,
        "meta": meta,
        "is_active": true,
        "is_global": false,
        "updated_at": 1_700_000_000,
        "created_at": 1_700_000_000,
        "version_id": "00000000-0000-4000-8000-000000000002",
    });
    row.to_string().into_bytes().into()
}
