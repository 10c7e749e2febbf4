//! Receives what plugins do from `pane.py`, which runs in the server's process, and makes notices of it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::Sender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::data::random;
use crate::error::Error;
use crate::notice::{Frame, Notice, NoticeKind, Raised, Subject};
use crate::plugin::id::PluginId;
use crate::plugin::{Entry, Key, Kind, Span};

/// A message is far shorter: its parts are cut where it is made.
const LONGEST: u64 = 256 * 1024;
/// How many connections without the token are open at once. Others wait.
const MOST_STRANGERS: usize = 8;
/// How long a connection may take to send the token.
const TOKEN_PATIENCE: Duration = Duration::from_secs(5);

/// The receiver of what plugins do.
#[derive(Clone)]
pub struct Pane {
    /// Whether it wants calls that go well.
    pub calls: bool,
    /// Whether it wants the server's own output.
    pub log: bool,
    /// Where the notices go. While it is full, nothing is read; the server does not wait for that.
    pub notices: Sender<Notice>,
}

/// Listens on loopback for the server's process. Dropping it ends that.
pub(super) struct Listener {
    pub(super) port: u16,
    /// Proves that a connection comes from the server: other programs on this machine can connect too.
    pub(super) token: SecretString,
    pub(super) calls: bool,
    pub(super) log: bool,
    _task: JoinSet<()>,
}

impl Listener {
    pub(super) async fn start(pane: Pane) -> Result<Self, Error> {
        let cannot = |e| Error::new("cannot listen to the sandbox's server").because(e);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(cannot)?;
        let port = listener.local_addr().map_err(cannot)?.port();
        let token = SecretString::from(random()?);
        let Pane { calls, log, notices } = pane;
        let task = JoinSet::from_iter([listen(listener, token.clone(), notices)]);
        Ok(Self { port, token, calls, log, _task: task })
    }
}

async fn listen(listener: TcpListener, token: SecretString, notices: Sender<Notice>) {
    let strangers = Arc::new(Semaphore::new(MOST_STRANGERS));
    loop {
        let Ok(stranger) = Arc::clone(&strangers).acquire_owned().await else { return };
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(hear(stream, token.clone(), notices.clone(), stranger));
        } else {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Takes the messages of one connection, if it begins with the token. Until then it counts as a stranger.
async fn hear(stream: TcpStream, token: SecretString, notices: Sender<Notice>, stranger: OwnedSemaphorePermit) {
    let mut reader = BufReader::new(stream);
    let first = timeout(TOKEN_PATIENCE, line(&mut reader)).await;
    if first.ok().flatten().is_none_or(|line| line != token.expose_secret().as_bytes()) {
        return;
    }
    drop(stranger);
    while let Some(line) = line(&mut reader).await {
        if let Some(notice) = serde_json::from_slice::<Message>(&line).ok().and_then(Message::notice)
            && notices.send(notice).await.is_err()
        {
            return;
        }
    }
}

/// The next line; `None` at the end, and for one that is too long.
async fn line(reader: &mut (impl AsyncBufRead + Unpin)) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    reader.take(LONGEST).read_until(b'\n', &mut line).await.ok()?;
    (line.pop() == Some(b'\n')).then_some(line)
}

/// What `pane.py` sends.
#[derive(Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
enum Message {
    Call {
        #[serde(flatten)]
        about: About,
        hook: String,
        #[serde(default)]
        event: Option<String>,
        result: String,
        #[serde(default)]
        again: bool,
        times: u64,
        ms: f64,
    },
    Raise {
        #[serde(flatten)]
        about: About,
        hook: String,
        error: String,
        frames: Vec<Place>,
        outside: u64,
        at: Option<String>,
        causes: Vec<Cause>,
        ms: Option<f64>,
    },
    Print {
        #[serde(flatten)]
        about: About,
        text: String,
        #[serde(default)]
        level: Option<String>,
    },
    More {
        #[serde(flatten)]
        about: About,
        count: usize,
    },
    Log {
        text: String,
    },
    Lost {
        count: usize,
    },
}

#[derive(Deserialize)]
struct About {
    kind: String,
    id: String,
    /// What the server takes a function for, once it is loaded.
    #[serde(default, rename = "type")]
    entry: Option<String>,
}

#[derive(Deserialize)]
struct Cause {
    error: String,
    frame: Option<Place>,
}

#[derive(Deserialize)]
struct Place {
    #[serde(flatten)]
    about: About,
    name: String,
    line: usize,
    column: usize,
    width: usize,
    source: String,
}

impl Message {
    fn notice(self) -> Option<Notice> {
        Some(match self {
            Self::Call { about, hook, event, result, again, times, ms } => about.notice(NoticeKind::Called {
                hook,
                server_event: event,
                result,
                again,
                times,
                total: None,
                took: millis(ms),
            })?,
            Self::Raise { about, hook, error, frames, outside, at, causes, ms } => {
                let frames = frames.into_iter().filter_map(Place::frame).collect();
                let causes =
                    causes.into_iter().map(|cause| (cause.error, cause.frame.and_then(Place::frame))).collect();
                let took = ms.map(millis);
                let is_followed = true;
                let raised = Raised { hook, error, frames, outside, at, causes, took, is_followed, before: 0 };
                about.notice(NoticeKind::Raised(Box::new(raised)))?
            }
            Self::Print { about, text, level } => {
                about.notice(NoticeKind::Printed { text, log_level: level, line: None })?
            }
            Self::More { about, count } => about.notice(NoticeKind::PrintedMore { count })?,
            Self::Log { text } => Notice::general(NoticeKind::ServerLog { text }),
            Self::Lost { count } => Notice::of_unread(count),
        })
    }
}

impl About {
    fn key(&self) -> Option<Key> {
        let kind = Kind::ALL.into_iter().find(|kind| kind.word() == self.kind)?;
        Some(Key { kind, id: PluginId::new(&self.id)? })
    }

    fn notice(&self, what: NoticeKind) -> Option<Notice> {
        let entry = self.entry.as_deref().and_then(Entry::from_word);
        Some(Notice { about: Subject { entry, ..Subject::from(&self.key()?) }, what })
    }
}

impl Place {
    fn frame(self) -> Option<Frame> {
        let Place { about, name, line, column, width, source } = self;
        let span = Span { line, column, width, source };
        Some(Frame { key: about.key()?, path: None, function: name, span })
    }
}

fn millis(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::sync::mpsc;

    use super::*;

    fn pane() -> (Pane, mpsc::Receiver<Notice>) {
        let (notices, told) = mpsc::channel(10);
        (Pane { calls: true, log: false, notices }, told)
    }

    async fn say(listener: &Listener, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, listener.port)).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    #[tokio::test]
    async fn messages_become_notices() {
        let (pane, mut told) = pane();
        let listener = Listener::start(pane).await.unwrap();
        let frame = r#"{"kind": "function", "id": "shout", "name": "pipe", "line": 7, "column": 3, "width": 2, "source": "  x()"}"#;
        let messages = [
            listener.token.expose_secret(),
            r#"{"what": "call", "kind": "function", "id": "shout", "type": "pipe", "hook": "pipe", "result": "\"HI\"", "again": true, "times": 1, "ms": 1.5}"#,
            "not JSON",
            r#"{"what": "news from a later version"}"#,
            r#"{"what": "call", "kind": "no kind", "id": "shout", "hook": "pipe", "result": "", "times": 1, "ms": 1}"#,
            r#"{"what": "print", "kind": "tool", "id": "shout", "text": "hi", "level": null}"#,
            r#"{"what": "more", "kind": "tool", "id": "shout", "count": 2}"#,
            &format!(
                r#"{{"what": "raise", "kind": "function", "id": "shout", "hook": "pipe", "ms": -1, "error": "KeyError: 'x'",
                   "frames": [{frame}], "outside": 2, "at": "json/decoder.py:3", "causes": [{{"error": "E", "frame": null}}]}}"#
            )
            .replace('\n', " "),
            r#"{"what": "log", "kind": null, "id": null, "text": "INFO started"}"#,
            r#"{"what": "lost", "count": 3}"#,
        ];
        let _stream = say(&listener, &(messages.join("\n") + "\n")).await;
        let key = |kind| Key { kind, id: PluginId::new("shout").unwrap() };
        let notice = told.recv().await.unwrap();
        assert_eq!((notice.about.key, notice.about.entry), (Some(key(Kind::Function)), Some(Entry::Pipe)));
        let (hook, result) = ("pipe".to_owned(), "\"HI\"".to_owned());
        let took = Duration::from_micros(1500);
        let called = NoticeKind::Called { hook, server_event: None, result, again: true, times: 1, total: None, took };
        assert_eq!(notice.what, called);
        let notice = told.recv().await.unwrap();
        assert_eq!(notice.about.key, Some(key(Kind::Tool)));
        assert_eq!(notice.what, NoticeKind::Printed { text: "hi".to_owned(), log_level: None, line: None });
        assert_eq!(told.recv().await.unwrap().what, NoticeKind::PrintedMore { count: 2 });
        let NoticeKind::Raised(raised) = told.recv().await.unwrap().what else { panic!() };
        assert_eq!(raised.error, "KeyError: 'x'");
        assert_eq!(raised.frames[0].span, Span { line: 7, column: 3, width: 2, source: "  x()".to_owned() });
        assert_eq!(raised.took, Some(Duration::ZERO));
        let text = "INFO started".to_owned();
        assert_eq!(told.recv().await.unwrap().what, NoticeKind::ServerLog { text });
        assert_eq!(told.recv().await.unwrap(), Notice::of_unread(3));
    }

    #[tokio::test]
    async fn a_stranger_is_not_heard() {
        let (pane, mut told) = pane();
        let listener = Listener::start(pane).await.unwrap();
        let log = r#"{"what": "log", "text": "x"}"#;
        for stranger in [format!("{log}\n"), format!("wrong\n{log}\n"), "x".repeat(300_000)] {
            let mut stream = say(&listener, &stranger).await;
            // It is closed.
            assert!(matches!(stream.read(&mut [0]).await, Ok(0) | Err(_)));
        }
        let _stream = say(&listener, &format!("{}\n{log}\n", listener.token.expose_secret())).await;
        assert_eq!(told.recv().await.unwrap().what, NoticeKind::ServerLog { text: "x".to_owned() });
        assert!(told.try_recv().is_err());
    }
}
