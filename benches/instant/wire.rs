//! HTTP by hand on one socket: what a bare program needs of it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::json;

use crate::support::fake_server::KEY;

/// A connection that is kept.
pub(crate) struct Wire {
    stream: TcpStream,
    key: String,
    buffer: Vec<u8>,
}

impl Wire {
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self::with_key(address, KEY)
    }

    pub(crate) fn with_key(address: SocketAddr, key: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, key: key.to_owned(), buffer: Vec::new() }
    }

    pub(crate) fn get(&mut self, path: &str) -> (u16, Vec<u8>) {
        self.ask("GET", path, &[])
    }

    pub(crate) fn post(&mut self, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        self.ask("POST", path, body)
    }

    /// Sends a request in one write, and reads the answer to its end.
    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let key = &self.key;
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream.write_all(&request).unwrap();
        let (head, body) = message(&mut self.stream, &mut self.buffer).expect("an answer");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, body)
    }
}

/// Reads one message, whose length is in its head: the head, and the body. `None` where the other side has closed, or has
/// been silent for as long as the socket waits.
pub(crate) fn message(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let mut chunk = vec![0; 64 * 1024];
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(n) => buffer.extend_from_slice(&chunk[..n]),
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.trim().parse().expect("a length"));
    let mut body = buffer.split_off(end);
    buffer.clear();
    if body.len() > length {
        *buffer = body.split_off(length);
    }
    let begun = body.len();
    body.resize(length, 0);
    stream.read_exact(&mut body[begun..]).ok()?;
    Some((head, body))
}

/// What is sent to create or update a function.
pub(crate) fn form(id: &str, text: &str) -> Vec<u8> {
    let meta =
        json!({ "description": "What a plugin says of itself.", "manifest": { "title": id, "version": "1.0.0" } });
    json!({ "id": id, "name": id, "content": text, "meta": meta, "commit_message": "a bare sender" })
        .to_string()
        .into_bytes()
}
