//! Child processes that end with their parent.

use std::collections::VecDeque;
use std::io;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Split};

use crate::printable;
use crate::process_group::{ChildGroup, own_group};

/// How many of a process's last lines an error quotes.
pub(super) const QUOTED_LINES: usize = 15;

/// The output of a process that exited.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// The first line of its standard output.
    pub(super) answer: String,
    /// The last lines of its output.
    pub(super) said: String,
}

/// Runs a command and hands on every line of its output. Kills it and its children after `limit`, or when this future
/// is dropped.
pub(super) async fn run(mut command: Command, limit: Duration, mut heard: impl FnMut(&str)) -> io::Result<Ended> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    own_group(&mut command);
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true);
    let mut job = ChildGroup(command.spawn()?);
    let mut out = job.0.stdout.take().map(lines);
    let mut err = job.0.stderr.take().map(lines);
    let mut answer = None;
    let mut said = VecDeque::new();
    let to_the_end = async {
        while out.is_some() || err.is_some() {
            let line = tokio::select! {
                line = next(&mut out), if out.is_some() => {
                    let line = line?;
                    if answer.is_none() {
                        answer.clone_from(&line);
                    }
                    line
                }
                line = next(&mut err), if err.is_some() => line?,
            };
            let Some(line) = line.filter(|line| !line.trim().is_empty()) else { continue };
            heard(&line);
            said.push_back(line);
            if said.len() > QUOTED_LINES {
                said.pop_front();
            }
        }
        job.0.wait().await
    };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("it did not end within {} s", limit.as_secs()));
    let status = tokio::time::timeout(limit, to_the_end).await.map_err(late)??;
    Ok(Ended { status, answer: answer.unwrap_or_default(), said: Vec::from(said).join("\n") })
}

fn lines<R: AsyncRead + Unpin>(stream: R) -> Split<BufReader<R>> {
    BufReader::new(stream).split(b'\n')
}

/// The next line. At the end of the stream, returns `None` and sets the stream to `None`.
async fn next<R: AsyncRead + Unpin>(stream: &mut Option<Split<BufReader<R>>>) -> io::Result<Option<String>> {
    let Some(segments) = stream else { return Ok(None) };
    let segment = segments.next_segment().await?;
    if segment.is_none() {
        *stream = None;
    }
    // Strip colours: they would garble the answer.
    Ok(segment.map(|bytes| printable::line(String::from_utf8_lossy(&bytes).trim_end()).into_owned()))
}

/// The last non-empty lines of a text.
pub(super) fn tail(text: &str, count: usize) -> String {
    let mut lines: Vec<&str> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(count).collect();
    lines.reverse();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_last_non_empty_lines() {
        let cases = [
            ("", ""),
            ("\n \n", ""),
            ("one", "one"),
            ("one\n\ntwo\n", "one\ntwo"),
            ("one\ntwo\nthree\n", "two\nthree"),
            ("one\r\ntwo\r\nthree\r\n\r\n", "two\nthree"),
        ];
        for (text, expected) in cases {
            assert_eq!(tail(text, 2), expected, "{text:?}");
        }
    }
}
