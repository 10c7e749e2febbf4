//! A model of the server: what it holds, and what each request does to it. Up to 0.11 a refused update switches a
//! function off; since 0.12 an update changes everything or nothing. The reason of a refusal is hidden by 0.11, and that
//! of a refused create by 0.12 as well. Up to 0.9 a text may end the server.

use std::collections::BTreeMap;
use std::time::Duration;

use owui_watch::engine::deploy::{Attached, Call, Form, ListedRow, Reply, Row};
use owui_watch::plugin::{Entry, Key, Kind};
use serde_json::{Map, Value};

use super::text::{Sort, Text, letter_of};
use super::wire::crashed;

/// Whose words a row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    /// The daemon's.
    Daemon,
    /// Those of `owui-watch rollback`, beside the daemon.
    Rollback,
    /// Somebody else's.
    Hand,
}

/// A row, and what the admin wants of it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(super) struct Held {
    pub(super) text: Text,
    /// What runs, which before 0.12 may be what was sent and not stored.
    pub(super) runs: Text,
    /// Somebody else wrote in the middle of a deploy, before 0.12: nobody knows what runs.
    pub(super) contested: bool,
    pub(super) writer: Writer,
    /// The daemon has made the row.
    pub(super) ours: bool,
    pub(super) name: String,
    /// The admin has given it this name, and it is to stay.
    pub(super) renamed: bool,
    /// The admin has given it a picture, which is to stay.
    pub(super) icon: bool,
    pub(super) active: bool,
    /// Since when all models use it, and since when some model does.
    pub(super) global: Option<Duration>,
    pub(super) attached: Option<Duration>,
    /// How the switch is to be; `None` where the admin flipped it in the middle of a deploy, so that nobody knows.
    pub(super) wanted_active: Option<bool>,
    /// Its versions, and whether each is the daemon's.
    pub(super) versions: Vec<(u32, bool)>,
}

impl Held {
    /// A row that was read, and of which nothing else is known.
    pub(super) fn read(text: Text) -> Self {
        Self {
            text,
            runs: text,
            contested: false,
            writer: Writer::Daemon,
            ours: false,
            name: String::new(),
            renamed: false,
            icon: false,
            active: false,
            global: None,
            attached: None,
            wanted_active: None,
            versions: Vec::new(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) version: &'static str,
    /// 0.12: every text that it takes is a version of its own.
    pub(super) versioned: bool,
    pub(super) rows: BTreeMap<Key, Held>,
    pub(super) n_versions: u32,
    /// What the daemon creates is to be on.
    activates: bool,
    /// An admin has switched plugins off on the server (since 0.11): it takes no text and lists no function.
    pub(super) is_off: bool,
}

/// What an answer says of the server itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aftermath {
    Fine,
    /// It ends once it has answered.
    Ends,
}

impl Server {
    pub(super) fn new(version: &'static str, activates: bool) -> Self {
        let versioned = version == "0.12.4";
        Self { version, versioned, rows: BTreeMap::new(), n_versions: 0, activates, is_off: false }
    }

    /// Other settings hold: nobody knows whether what was to be switched on until now still is.
    pub(super) fn activate_new(&mut self, activates: bool) {
        if std::mem::replace(&mut self.activates, activates) != activates {
            let off = self.rows.values_mut().filter(|held| held.ours && !held.active);
            off.for_each(|held| held.wanted_active = None);
        }
    }

    /// It comes back as another version.
    pub(super) fn upgrade(&mut self, version: &'static str) {
        self.version = version;
        let was_versioned = std::mem::replace(&mut self.versioned, version == "0.12.4");
        if !was_versioned {
            // Those before it kept none.
            self.rows.values_mut().for_each(|held| held.versions.clear());
        }
    }

    /// Whether this version lets an admin switch plugins off.
    pub(super) fn can_be_off(&self) -> bool {
        self.versioned || self.version == "0.11.4"
    }

    /// The words for a text that is not taken because plugins are off: 0.11 hides the reason, 0.12 that of a create.
    fn refused_as_off(&self, call: &Call) -> Option<Reply> {
        let masked =
            |what: &str| Some(Reply::Refused { words: format!("[ERROR: Error {what} function]"), wrapped: true });
        match call {
            Call::Create(..) => masked("creating"),
            Call::Update(..) if !self.versioned => masked("updating"),
            Call::Update(..) => {
                let words = "Functions are disabled by ENABLE_PLUGINS or ENABLE_FUNCTIONS".to_owned();
                Some(Reply::NotAllowed { status: 400, words })
            }
            _ => None,
        }
    }

    /// Whether a text can end it.
    pub(super) fn is_mortal(&self) -> bool {
        matches!(self.version, "0.6.43" | "0.9.6")
    }

    /// Carries a request out.
    pub(super) fn answer(&mut self, call: &Call) -> (Reply, Aftermath) {
        let fine = |reply| (reply, Aftermath::Fine);
        if self.is_off
            && let Some(reply) = self.refused_as_off(call)
        {
            return fine(reply);
        }
        match call {
            Call::Overview(Kind::Function) if self.is_off => fine(Reply::Rows(Vec::new())),
            Call::Connect => fine(Reply::Connected { version: self.version.to_owned() }),
            Call::Overview(kind) => {
                let rows = self.rows.iter().filter(|(key, _)| key.kind == *kind);
                fine(Reply::Rows(rows.map(|(key, held)| self.listed(key, held)).collect()))
            }
            Call::Get(key) => fine(self.shown(key, true)),
            Call::Create(key, form) => self.create(key, form),
            Call::Update(key, form) => self.update(key, form),
            Call::Toggle(id) => fine(self.flip(&Key { kind: Kind::Function, id: id.clone() })),
            Call::Delete(key) => fine(match (self.rows.remove(key), key.kind) {
                (Some(_), _) | (None, Kind::Function) => Reply::Deleted,
                (None, Kind::Tool) => Reply::Absent,
            }),
            Call::Prune(key, version) => fine(self.prune(key, version)),
            Call::Attached => {
                let attached = self.rows.iter().filter(|(_, held)| held.attached.is_some());
                let filters = attached.map(|(key, _)| key.id.to_string()).collect();
                fine(Reply::Attached(Attached { filters, ..Attached::default() }))
            }
            Call::Versions(_) | Call::Version(..) | Call::ToggleGlobal(_) => fine(Reply::Absent),
        }
    }

    fn create(&mut self, key: &Key, form: &Form) -> (Reply, Aftermath) {
        if self.rows.contains_key(key) {
            return (Reply::Taken, Aftermath::Fine);
        }
        let text = Text::of(&form.content).unwrap();
        if let Some(refusal) = self.refusal(text, self.version != "0.11.4" && !self.versioned) {
            return refusal;
        }
        let held = Held {
            text,
            runs: text,
            contested: false,
            writer: Writer::Daemon,
            ours: true,
            name: form.name.clone(),
            renamed: false,
            icon: form.meta.contains_key("icon"),
            active: false,
            global: None,
            attached: None,
            wanted_active: Some(self.activates && text.sort != Sort::Stub),
            versions: Vec::new(),
        };
        self.rows.insert(key.clone(), held);
        self.new_version(key, true);
        (self.shown(key, false), Aftermath::Fine)
    }

    fn update(&mut self, key: &Key, form: &Form) -> (Reply, Aftermath) {
        let text = Text::of(&form.content).unwrap();
        let refusal = self.refusal(text, self.version != "0.11.4");
        let versioned = self.versioned;
        let Some(held) = self.rows.get_mut(key) else {
            // Only 0.12 says of a function that it is not there.
            let absent = versioned || key.kind == Kind::Tool;
            let stumbled = Reply::Stumbled { cause: "the server failed".to_owned() };
            return match refusal {
                _ if absent => (Reply::Absent, Aftermath::Fine),
                Some(refusal) => refusal,
                None => (stumbled, Aftermath::Fine),
            };
        };
        if let Some(refusal) = refusal {
            if !versioned && text.sort == Sort::Refused && key.kind == Kind::Function {
                held.active = false;
            }
            self.run(key, text);
            return refusal;
        }
        // What is put back after a refusal is what was there, whoever wrote it.
        if form.file.is_some() || text.sort == Sort::Stub {
            held.writer = Writer::Daemon;
        }
        if held.text.sort == Sort::Stub && held.wanted_active == Some(false) {
            held.wanted_active = Some(self.activates);
        }
        (held.text, held.runs, held.contested) = (text, text, false);
        // Whoever renames it in the middle of an update has lost.
        held.renamed &= held.name == form.name;
        held.name.clone_from(&form.name);
        held.icon = form.meta.contains_key("icon");
        self.new_version(key, true);
        (self.shown(key, true), Aftermath::Fine)
    }

    /// Runs a text that is not stored.
    pub(super) fn run(&mut self, key: &Key, text: Text) {
        if let Some(held) = self.rows.get_mut(key).filter(|_| !self.versioned && !self.is_off) {
            held.runs = text;
        }
    }

    /// After it was down, what is stored is what runs.
    pub(super) fn restart(&mut self) {
        self.rows.values_mut().for_each(|held| (held.runs, held.contested) = (held.text, false));
    }

    fn refusal(&self, text: Text, explained: bool) -> Option<(Reply, Aftermath)> {
        let words = if explained { "No module named 'x'" } else { "[ERROR: Error updating function]" };
        match text.sort {
            Sort::Refused => {
                let wrapped = !explained || !self.versioned;
                Some((Reply::Refused { words: words.to_owned(), wrapped }, Aftermath::Fine))
            }
            Sort::Ends if self.is_mortal() => Some((crashed(), Aftermath::Ends)),
            Sort::Crashes | Sort::Ends => Some((crashed(), Aftermath::Fine)),
            Sort::Good
            | Sort::Titled
            | Sort::Half
            | Sort::Faulty
            | Sort::Stub
            | Sort::Empty
            | Sort::Broken
            | Sort::Other => None,
        }
    }

    fn flip(&mut self, key: &Key) -> Reply {
        let Some(held) = self.rows.get_mut(key) else { return Reply::Absent };
        held.active = !held.active;
        self.shown(key, true)
    }

    fn prune(&mut self, key: &Key, version: &str) -> Reply {
        let Some(held) = self.rows.get_mut(key) else { return Reply::Absent };
        let Ok(version) = version.parse::<u32>() else { return Reply::Absent };
        if held.versions.last().is_some_and(|(last, _)| *last == version) {
            return Reply::Refused { words: "the current version".to_owned(), wrapped: false };
        }
        held.versions.retain(|(other, _)| *other != version);
        Reply::Deleted
    }

    /// Gives a row that was written a new version.
    pub(super) fn new_version(&mut self, key: &Key, by_daemon: bool) {
        self.n_versions += 1;
        if let Some(held) = self.rows.get_mut(key) {
            held.versions.push((self.n_versions, by_daemon));
        }
    }

    fn shown(&self, key: &Key, with_text: bool) -> Reply {
        self.rows.get(key).map_or(Reply::Absent, |held| Reply::Row(Box::new(self.row(key, held, with_text))))
    }

    /// A row of a list: the client has made a digest of its text. Only a whole one has a version.
    fn listed(&self, key: &Key, held: &Held) -> ListedRow {
        let row = self.row(key, held, true).listed(key.id.clone());
        ListedRow { content: None, version: Some("1".to_owned()), ..row }
    }

    fn row(&self, key: &Key, held: &Held, with_text: bool) -> Row {
        let function = key.kind == Kind::Function;
        let mut manifest = Map::new();
        if held.text.sort == Sort::Titled {
            manifest.insert("title".to_owned(), Value::from("Shout"));
            manifest.insert("author".to_owned(), Value::from("me"));
        }
        let mut meta = Map::from_iter([
            ("description".to_owned(), Value::from("")),
            ("manifest".to_owned(), Value::from(manifest)),
        ]);
        if held.icon {
            meta.insert("icon".to_owned(), Value::from("picture"));
        }
        Row {
            id: key.id.to_string(),
            name: held.name.clone(),
            content: with_text.then(|| held.text.made().stored.to_string()),
            meta,
            is_active: function.then_some(held.active),
            access_control: None,
            is_global: function.then_some(held.global.is_some()),
            entry: function.then_some(Entry::Filter),
            versioned: self.versioned,
            version_id: held.versions.last().filter(|_| self.versioned).map(|(version, _)| version.to_string()),
        }
    }

    /// Somebody writes a text by hand, in the web editor.
    pub(super) fn write(&mut self, key: &Key, text: Text, writer: Writer) {
        if let Some(held) = self.rows.get_mut(key) {
            (held.text, held.runs) = (text, text);
            held.writer = writer;
            // Whoever puts another text there is left to switch it.
            if self.activates && held.ours {
                held.wanted_active = held.wanted_active.map(|_| held.active);
            }
        } else {
            let held = Held {
                text,
                runs: text,
                contested: false,
                writer,
                ours: false,
                name: letter_of(key).to_string(),
                renamed: false,
                icon: false,
                active: true,
                global: None,
                attached: None,
                wanted_active: Some(true),
                versions: Vec::new(),
            };
            self.rows.insert(key.clone(), held);
        }
        self.new_version(key, false);
    }
}
