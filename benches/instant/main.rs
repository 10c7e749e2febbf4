//! How fast it is: the built binary on a real file system, against a server on this machine that answers at once, and
//! beside each figure the floor, which is what a bare program takes that does only what cannot be left out.
//!
//! `cargo bench` measures everything, `cargo bench -- save once` the rows with these words in their names, and
//! `cargo bench -- --real` what needs a real Open WebUI, which is installed first if need be.
//!
//! Machines are noisy. So candidate and floor take turns within one run, medians are compared, and a ratio says more
//! than a time. Where a row is about the moment at which bytes arrive, the server is [`responder`] and not the tests' fake
//! one: that takes each request apart before it notes it, which costs more than what is to be measured.
#![cfg_attr(
    target_os = "linux",
    expect(clippy::unwrap_used, reason = "a measurement ends where its scene cannot be set"),
    expect(clippy::disallowed_methods, reason = "it sets its own scene: files, clocks, programs, pauses"),
    expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is what it is for")
)]

#[cfg(target_os = "linux")]
mod figures;
#[cfg(target_os = "linux")]
mod floor;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod responder;
#[cfg(target_os = "linux")]
mod rows;
#[cfg(target_os = "linux")]
mod scene;
#[cfg(target_os = "linux")]
#[expect(dead_code, reason = "the tests need all of it")]
#[path = "../../tests/it/support/mod.rs"]
mod support;
#[cfg(target_os = "linux")]
mod wire;

#[cfg(target_os = "linux")]
fn main() {
    // cargo says `--bench` to every bench.
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let Some((name, arguments)) = floor::asked_for(&arguments) {
        return floor::run(name, arguments);
    }
    let (flags, names): (Vec<_>, Vec<_>) = arguments.iter().partition(|argument| argument.starts_with("--"));
    let real = flags.iter().any(|flag| *flag == "--real");
    let wanted = |name: &str| names.is_empty() || names.iter().any(|part| name.contains(part.as_str()));
    let mut table = figures::Table::default();
    for (name, measure) in if real { rows::REAL } else { rows::FAST } {
        if wanted(name) {
            eprint!("{name} …");
            let started = std::time::Instant::now();
            measure(&mut table);
            eprintln!(" {:.0} s", started.elapsed().as_secs_f64());
        }
    }
    println!("{table}");
}

#[cfg(not(target_os = "linux"))]
fn main() {}
