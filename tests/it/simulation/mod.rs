//! A simulated world: random schedules of saves, faults, crashes and other people's work against the real engine, and
//! what is promised is looked at after every step. No runtime, no sleeping, and the same seed does the same again.
//!
//! A run is a script: the setup in its first line, and then lines of `<pause in ms> <what happens>`. A seed makes one;
//! one that fails is shortened as long as it fails in the same way, and printed, to be pasted into `replays.rs`.
//! `OWUI_WATCH_SEEDS=100000 cargo test simulation` plays so many, from `OWUI_WATCH_FIRST_SEED` on. `OWUI_WATCH_SEED=17`
//! plays one, and `OWUI_WATCH_SCRIPT=file` a script, with all that happens in it.

/// A line of what happens, for who wants to read it.
macro_rules! trace {
    ($world:expr, $($words:tt)*) => {
        if let Some(trace) = &mut $world.trace {
            write!(trace, "{:>9} ", format!("{}ms", $world.now.as_millis())).unwrap();
            writeln!(trace, $($words)*).unwrap();
        }
    };
}

mod chance;
mod daemon;
mod promises;
mod replays;
mod server;
mod shorten;
mod text;
mod trials;
mod wire;
mod world;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Instant;

use promises::Broken;

/// How many seeds every run of the tests plays.
const SEEDS: u64 = 500;

/// Plays one script; a panic in the engine is a broken promise like others.
fn play(script: &str) -> Result<(), Broken> {
    let played = std::panic::catch_unwind(|| world::play(script, false).0);
    played.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
        Err(Broken::new("it does not panic", words.unwrap_or_default()))
    })
}

/// Plays the script of a bug that was found.
#[track_caller]
fn replay(script: &str) {
    if let Err(broken) = play(script) {
        let (_, trace) = world::play(script, true);
        panic!("{broken:?}\n{trace}");
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap())
}

/// Plays a script with all that happens in it.
fn show(script: &str) {
    let (result, trace) = world::play(script, true);
    std::io::stdout().write_all(format!("{script}\n{trace}").as_bytes()).unwrap();
    if let Err(broken) = result {
        panic!("{broken:?}\n{}", pasted(&shorten::shortened(script, broken.promise)));
    }
}

/// A report on a seed that fails: how, and in how few steps.
fn report(seed: u64, broken: &Broken) -> String {
    let script = shorten::shortened(&chance::script(seed), broken.promise);
    let again = format!("OWUI_WATCH_SEED={seed} cargo test --test it simulation -- --nocapture");
    format!("seed {seed}: {broken:?}\nto see it: {again}\nshortened: {:?}\n{}", play(&script).err(), pasted(&script))
}

/// A script as it is pasted into a test.
fn pasted(script: &str) -> String {
    let lines: Vec<_> = script.lines().collect();
    format!("\n    replay(\n        \"{}\",\n    );\n", lines.join("\n         "))
}

#[test]
fn whatever_happens_what_was_promised_holds() {
    if let Ok(path) = std::env::var("OWUI_WATCH_SCRIPT") {
        return show(&std::fs::read_to_string(path).unwrap());
    }
    if let Some(seed) = number("OWUI_WATCH_SEED") {
        return show(&chance::script(seed));
    }
    let first = number("OWUI_WATCH_FIRST_SEED").unwrap_or(0);
    let seeds = first..first + number("OWUI_WATCH_SEEDS").unwrap_or(SEEDS);
    let started = Instant::now();
    let n_threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let failures: Vec<(u64, Broken)> = std::thread::scope(|scope| {
        let plays = |thread: u64| {
            let seeds = seeds.clone();
            move || {
                let every = seeds.skip(usize::try_from(thread).unwrap()).step_by(usize::try_from(n_threads).unwrap());
                every.filter_map(|seed| Some((seed, play(&chance::script(seed)).err()?))).collect::<Vec<_>>()
            }
        };
        let threads: Vec<_> = (0..n_threads).map(|first| scope.spawn(plays(first))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    println!("seeds {} to {} in {:.1} s", seeds.start, seeds.end - 1, started.elapsed().as_secs_f64());
    if failures.is_empty() {
        return;
    }
    // The first seed for each promise that is broken.
    let mut first: BTreeMap<&str, (u64, Broken)> = BTreeMap::new();
    for (seed, broken) in &failures {
        let known = first.entry(broken.promise).or_insert_with(|| (*seed, broken.clone()));
        if *seed < known.0 {
            *known = (*seed, broken.clone());
        }
    }
    let reports: Vec<_> = first.values().map(|(seed, broken)| report(*seed, broken)).collect();
    let some: Vec<_> = failures.iter().take(100).map(|(seed, _)| seed.to_string()).collect();
    panic!("{} seeds fail: {}\n\n{}", failures.len(), some.join(" "), reports.join("\n"));
}
