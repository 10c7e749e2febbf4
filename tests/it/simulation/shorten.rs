//! Shortens a script that breaks a promise, as long as it breaks the same one.

use super::play;

/// The fewest lines, and the least unusual setup, that still fail.
pub(super) fn shortened(script: &str, promise: &str) -> String {
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    let fails = |lines: &[String]| play(&lines.join("\n")).is_err_and(|broken| broken.promise == promise);
    loop {
        let before = lines.clone();
        drop_lines(&mut lines, &fails);
        simplify_setup(&mut lines, &fails);
        shorten_pauses(&mut lines, &fails);
        if lines == before {
            return lines.join("\n");
        }
    }
}

/// Leaves lines out, many at once first.
fn drop_lines(lines: &mut Vec<String>, fails: &impl Fn(&[String]) -> bool) {
    let mut size = lines.len() / 2;
    while size > 0 {
        let mut at = 1;
        while at < lines.len() {
            let mut fewer = lines.clone();
            fewer.drain(at..(at + size).min(lines.len()));
            if fails(&fewer) {
                *lines = fewer;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
}

fn simplify_setup(lines: &mut [String], fails: &impl Fn(&[String]) -> bool) {
    let words: Vec<String> = lines[0].split(' ').map(str::to_owned).collect();
    for at in (2..words.len()).rev() {
        let mut fewer: Vec<_> = lines[0].split(' ').map(str::to_owned).collect();
        if fewer.get(at) != words.get(at)
            || words[at].parse::<u64>().is_ok()
            || words[at].len() == 1
            || fewer.len() <= at
        {
            continue;
        }
        let with_number = fewer.get(at + 1).is_some_and(|next| next.parse::<u64>().is_ok() || next.len() == 1);
        fewer.drain(at..=at + usize::from(with_number));
        let mut simpler = lines.to_vec();
        simpler[0] = fewer.join(" ");
        if fails(&simpler) {
            lines[0].clone_from(&simpler[0]);
        }
    }
}

fn shorten_pauses(lines: &mut [String], fails: &impl Fn(&[String]) -> bool) {
    for at in 1..lines.len() {
        let (pause, rest) = lines[at].split_once(' ').map(|(pause, rest)| (pause.to_owned(), rest.to_owned())).unwrap();
        let pause: u64 = pause.parse().unwrap();
        for shorter in [0, 1, 10, 100, 1000, 10_000].into_iter().filter(|shorter| *shorter < pause) {
            let mut simpler = lines.to_vec();
            simpler[at] = format!("{shorter} {rest}");
            if fails(&simpler) {
                lines[at].clone_from(&simpler[at]);
                break;
            }
        }
    }
}
