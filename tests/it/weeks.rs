//! The daemon's loop for weeks in virtual time. During real work (a save, a request, a write) the clock stands still;
//! otherwise it jumps to the next timer.
#![cfg(target_os = "linux")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::UnixDatagram;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use owui_watch::cli::Args;
use owui_watch::config::{self, Config, Settings, World};
use owui_watch::daemon::{self, End, KeyPrograms, Plan, Setup, Signal};
use owui_watch::engine::{Code, Policy};
use owui_watch::notice::{Commands, Level};
use owui_watch::output::{Console, Format};
use owui_watch::plugin::Kind;
use owui_watch::systemd::supervisor::Supervisor;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::Instant;

use crate::support::Server;
use crate::support::command::{Project, filter};
use crate::support::fake_server::FakeServer;
use crate::support::policy::policy;
use crate::support::status::{AWAY, RELOADED, compared, updated};

const DAY: Duration = Duration::from_hours(24);
const DAYS: u32 = 30;
/// How long to wait for real work. Ends broken tests; does not time working ones.
const DEADLINE: Duration = Duration::from_secs(30);
/// More polls at one moment than any event needs: the loop spins.
const SPINNING: u32 = 1000;

/// A project whose watch runs in virtual time under a service manager.
#[derive(Clone)]
struct Scene {
    project: Arc<Project>,
    server: Arc<Mutex<FakeServer>>,
    heard: Arc<Mutex<Receiver<String>>>,
    wakes: Rc<RefCell<Wakes>>,
    began: Instant,
}

/// The times when the loop was woken, since the beginning, with the number of polls.
type Wakes = BTreeMap<Duration, u32>;

impl Scene {
    /// The time since the beginning.
    fn at(&self) -> Duration {
        self.began.elapsed()
    }

    /// Does real work while the clock stands still: a blocking task keeps it from jumping.
    async fn real<T: Send + 'static>(&self, act: impl FnOnce(&Project, &mut FakeServer) -> T + Send + 'static) -> T {
        let (project, server) = (Arc::clone(&self.project), Arc::clone(&self.server));
        tokio::task::spawn_blocking(move || act(&project, &mut server.lock().unwrap())).await.unwrap()
    }

    /// Waits for a message to the service manager that contains this, while the clock stands still.
    async fn hears(&self, wanted: &str) {
        let wanted = wanted.to_owned();
        let heard = Arc::clone(&self.heard);
        let wait = move || {
            let (heard, mut messages) = (heard.lock().unwrap(), Vec::new());
            while !messages.last().is_some_and(|message: &String| message.contains(&wanted)) {
                let next = heard.recv_timeout(DEADLINE);
                messages.push(next.unwrap_or_else(|error| panic!("waiting for {wanted}: {error}\n{messages:#?}")));
            }
        };
        tokio::task::spawn_blocking(wait).await.unwrap();
    }

    /// Advances the clock step by step: for timers with real work between them.
    async fn pass(&self, time: Duration) {
        const STEPS: u32 = 100;
        let (end, wait) = channel::<()>();
        let hold = tokio::task::spawn_blocking(move || wait.recv());
        for _ in 0..STEPS {
            tokio::time::advance(time / STEPS).await;
        }
        drop(end);
        hold.await.unwrap().unwrap_err();
    }

    /// When the loop was woken.
    fn wakes(&self) -> BTreeSet<Duration> {
        self.wakes.borrow().keys().copied().collect()
    }

    /// The pauses between the times that the loop was woken, after the first.
    fn pauses(&self) -> Vec<Duration> {
        let wakes: Vec<_> = self.wakes().into_iter().collect();
        wakes.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect()
    }
}

/// The loop, with a record of each wake-up.
struct Noted<F> {
    run: Pin<Box<F>>,
    wakes: Rc<RefCell<Wakes>>,
    began: Instant,
}

impl<F: Future> Future for Noted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let at = self.began.elapsed();
        let mut wakes = self.wakes.borrow_mut();
        let times = wakes.entry(at).or_default();
        *times += 1;
        assert!(*times < SPINNING, "the loop spins after {at:?}");
        drop(wakes);
        self.run.as_mut().poll(context)
    }
}

/// Runs the watch of two plugins with these settings, and under a watchdog if there is one, until the script has ended.
fn live(settings: &str, watchdog: Option<Duration>, script: impl AsyncFnOnce(&Scene)) {
    let (project, server) = (Project::new(), FakeServer::start());
    for id in ["a", "b"] {
        project.put(&format!("plugins/{id}.py"), filter("1"));
    }
    let path = |name| project.path(name).display().to_string();
    let (root, state) = (path("plugins"), path(".owui-watch"));
    project.write("watch.toml", &format!("{settings}\nroot = '{root}'\nstate = '{state}'\n"));
    let (socket, heard) = (project.path("notify"), heard(&project));
    let mut environment = BTreeMap::from([("NOTIFY_SOCKET".to_owned(), socket.display().to_string())]);
    environment.extend(watchdog.map(|span| ("WATCHDOG_USEC".to_owned(), span.as_micros().to_string())));

    let args = Args { config: Some(project.path("watch.toml")), ..Args::default() };
    let world = World { cwd: project.path(""), ..World::default() };
    let client = Server::fake(&server).client();
    let url = server.url();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let scene = Scene {
            project: Arc::new(project),
            server: Arc::new(Mutex::new(server)),
            heard: Arc::new(Mutex::new(heard)),
            wakes: Rc::default(),
            began: Instant::now(),
        };
        let (signal, signals) = unbounded_channel();
        let run = async move {
            let read = || {
                let reading = config::read(&args, &world);
                config::Reading {
                    config: reading
                        .config
                        .map(|config| Config { settings: Settings { url: url.clone(), ..config.settings }, ..config }),
                    ..reading
                }
            };
            let plan = |config: Config| {
                let policy = Policy { roots: config.roots.clone(), server: config.url.clone(), ..policy() };
                Ok(Plan { policy, client: client.clone(), trial_client: None, config })
            };
            let config::Reading { config, sources } = read();
            let setup = Setup {
                config: config.unwrap(),
                sources,
                read: &read,
                plan: &plan,
                wait: false,
                keys: KeyPrograms::default(),
            };
            let console = Console::new(Format::Lines, Level::Error, Commands::default());
            let (_, notices) = tokio::sync::mpsc::channel(1);
            daemon::run(setup, console, Supervisor::new(&environment), signals, notices).await
        };
        let noted = Noted { run: Box::pin(run), wakes: Rc::clone(&scene.wakes), began: scene.began };
        let mut daemon = tokio::task::spawn_local(noted);
        let whole = async {
            scene.hears(&compared(2)).await;
            script(&scene).await;
        };
        tokio::select! {
            end = &mut daemon => panic!("it has ended: {end:?}"),
            () = whole => {}
        }
        signal.send(Signal::Stop(15)).unwrap();
        assert_eq!(daemon.await.unwrap().unwrap(), End::Done(Code::Fine));
    });
}

/// The manager's end of `NOTIFY_SOCKET`, which is read at once, so that nothing waits for it.
fn heard(project: &Project) -> Receiver<String> {
    let socket = UnixDatagram::bind(project.path("notify")).unwrap();
    let (send, heard) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length) = socket.recv(&mut buffer)
            && send.send(String::from_utf8_lossy(&buffer[..length]).into_owned()).is_ok()
        {}
    });
    heard
}

#[test]
fn a_watch_without_saves_sleeps_for_a_month() {
    live("", None, async |scene| {
        tokio::time::sleep(DAYS * DAY).await;
        assert_eq!(scene.wakes(), BTreeSet::from([Duration::ZERO]));
    });
}

#[test]
fn a_save_a_day_is_deployed_for_a_month() {
    live("", None, async |scene| {
        let mut days = BTreeSet::from([Duration::ZERO]);
        for day in 1..=DAYS {
            tokio::time::sleep(DAY).await;
            days.insert(scene.at());
            // In turn, so that successive statuses differ.
            let id = ["a", "b"][day as usize % 2];
            let text = filter(&format!("1.{day}"));
            let saved = text.clone();
            scene.real(move |project, _| project.write(&format!("plugins/{id}.py"), &saved)).await;
            scene.hears(&updated(id)).await;
            let row = scene.real(move |_, server| server.row(Kind::Function, id).unwrap()).await;
            assert_eq!(row.content, text);
        }
        tokio::time::sleep(DAY).await;
        assert_eq!(scene.wakes(), days);
    });
}

/// A timer may be late by one clock step, a millisecond, and never early.
#[track_caller]
fn check_pauses(pauses: &[Duration], each: Duration, in_all: usize) {
    let odd: Vec<_> =
        pauses.iter().filter(|pause: &&Duration| !(each..each + Duration::from_millis(2)).contains(*pause)).collect();
    assert!(odd.is_empty(), "{odd:?}");
    // Over a month these milliseconds may add up to a pause.
    assert!(pauses.len() == in_all || pauses.len() + 1 == in_all, "{} and not {in_all}", pauses.len());
}

#[test]
fn only_the_watchdog_wakes_an_idle_loop() {
    live("", Some(Duration::from_mins(20)), async |scene| {
        tokio::time::sleep(DAYS * DAY).await;
        check_pauses(&scene.pauses(), Duration::from_mins(10), 30 * 24 * 6);
    });
}

#[test]
fn polled_settings_wake_the_loop_on_time() {
    live("poll = '1h'", None, async |scene| {
        tokio::time::sleep(DAYS * DAY).await;
        check_pauses(&scene.pauses(), Duration::from_hours(1), 30 * 24);
    });
}

#[test]
fn new_settings_are_noticed_after_a_month() {
    live("", None, async |scene| {
        tokio::time::sleep(DAYS * DAY).await;
        let change = "concurrency = 3\n";
        scene
            .real(move |project, _| project.write("watch.toml", &(change.to_owned() + &project.read("watch.toml"))))
            .await;
        while !scene.wakes().contains(&scene.at()) {
            scene.real(|_, _| std::thread::yield_now()).await;
        }
        // A save counts after a moment without changes.
        scene.pass(Duration::from_secs(3)).await;
        scene.hears(RELOADED).await;
        scene.hears(&compared(2)).await;
    });
}

#[test]
fn a_server_that_was_away_for_days_gets_the_save() {
    live("", None, async |scene| {
        tokio::time::sleep(DAY).await;
        scene.real(|_, server| server.go_down()).await;
        scene.real(|project, _| project.write("plugins/a.py", &filter("2"))).await;
        scene.hears(AWAY).await;
        let days = 2;
        tokio::time::sleep(days * DAY).await;
        // Half a minute with up to a quarter of jitter, after a few shorter ones.
        let (pauses, most) = (scene.pauses().split_off(1), days as usize * 24 * 60 * 4);
        assert!(pauses.iter().all(|pause| *pause < Duration::from_secs(31)), "it is not tried again");
        assert!(pauses.len() < most, "{} wake-ups", pauses.len());
        scene.real(|_, server| server.come_up()).await;
        scene.pass(Duration::from_secs(30)).await;
        scene.hears(&updated("a")).await;
    });
}
