//! What everybody said during a run, in order, with its virtual time and the process that said it.
//!
//! Two runs of a seed are the same if their journals are: every event of every role is in it, and every fault.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write},
    rc::Rc,
};

use baton_process::clock::Clock;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
    subscriber::Interest,
};

use crate::judge::Judge;

thread_local! {
    static JOURNAL: RefCell<Option<Journal>> = const { RefCell::new(None) };
}

/// A run's journal.
pub(crate) struct Journal {
    clock: Clock,
    speaker: Rc<str>,
    hash: u64,
    all: bool,
    counts: BTreeMap<String, u64>,
    homes: BTreeMap<String, BTreeSet<String>>,
    /// Resumes that anchors accepted in the present second, and in the busiest.
    second: (u64, u64),
    busiest: u64,
    /// The last epoch that an anchor accepted for a session.
    epochs: BTreeMap<String, u64>,
    resent: u64,
}

impl Journal {
    /// Begins one on this thread; `all` prints every line.
    pub(crate) fn begin(clock: Clock, all: bool) {
        let journal = Self {
            clock,
            speaker: "".into(),
            hash: 0xcbf2_9ce4_8422_2325,
            all,
            counts: BTreeMap::new(),
            homes: BTreeMap::new(),
            second: (0, 0),
            busiest: 0,
            epochs: BTreeMap::new(),
            resent: 0,
        };
        JOURNAL.with_borrow_mut(|slot| *slot = Some(journal));
    }

    /// Ends it.
    pub(crate) fn end() -> Summary {
        let journal = JOURNAL.with_borrow_mut(Option::take).expect("it was begun on this thread");
        let Self { hash, counts, resent, busiest, .. } = journal;
        Summary { hash, counts, resent, busiest }
    }

    /// Polls somebody, whose events are entered under this name.
    pub(crate) fn speaks<R>(name: &Rc<str>, poll: impl FnOnce() -> R) -> R {
        let swap = |name: Rc<str>| {
            JOURNAL.with_borrow_mut(|slot| slot.as_mut().map(|journal| std::mem::replace(&mut journal.speaker, name)))
        };
        let before = swap(Rc::clone(name));
        let answer = poll();
        before.map(swap);
        answer
    }

    /// Whether a session of this user was opened at this home: at several, where the answer to an open was lost.
    pub(crate) fn was_opened_at(user: &str, home: &str) -> bool {
        let at = |journal: &Self| journal.homes.get(user).is_some_and(|homes| homes.contains(home));
        JOURNAL.with_borrow(|slot| slot.as_ref().is_some_and(at))
    }

    /// Enters a line of the run's own.
    pub(crate) fn note(text: fmt::Arguments<'_>) {
        JOURNAL.with_borrow_mut(|slot| slot.iter_mut().for_each(|journal| journal.enter(&text.to_string())));
    }

    /// Enters an event. Whether it says that an anchor accepted an epoch that is no higher than the last.
    fn hear(&mut self, line: Line) -> bool {
        self.enter(&line.text);
        self.resent += line.resent;
        let mut fell = false;
        match &*line.event {
            "session.open" => drop(self.homes.entry(line.user).or_default().insert(line.home)),
            "session.resume" => {
                let second = self.clock.now() / 1_000;
                self.second = (second, if self.second.0 == second { self.second.1 + 1 } else { 1 });
                self.busiest = self.busiest.max(self.second.1);
                let epoch = line.epoch.parse().unwrap_or_default();
                fell = self.epochs.insert(line.sid, epoch).is_some_and(|last| last >= epoch);
            }
            _ => {}
        }
        *self.counts.entry(line.event).or_default() += 1;
        fell
    }

    fn enter(&mut self, text: &str) {
        let line = format!("{:>9} {:<10} {text}", self.clock.now(), self.speaker);
        // FNV-1a: it only has to tell two journals apart.
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.all {
            println!("{line}");
        }
    }
}

/// What is left of a journal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Summary {
    /// Equal for equal journals.
    pub(crate) hash: u64,
    /// How often each event was said.
    pub(crate) counts: BTreeMap<String, u64>,
    /// Bytes that were sent again after a resume.
    pub(crate) resent: u64,
    /// Resumes that anchors accepted in the busiest second.
    pub(crate) busiest: u64,
}

/// Enters the roles' events into the journal of the thread that they run on.
pub(crate) struct Scribe;

impl Scribe {
    /// Makes it this thread's subscriber for as long as the guard lives.
    pub(crate) fn listen() -> tracing::subscriber::DefaultGuard {
        tracing::subscriber::set_default(Self)
    }
}

impl Subscriber for Scribe {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::DEBUG && metadata.target().starts_with("baton")
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let fell = JOURNAL.with_borrow_mut(|slot| slot.as_mut().is_some_and(|journal| journal.hear(line)));
        if fell {
            Judge::current().violated("an anchor accepted an epoch that wasn't higher than the last");
        }
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The fields of an event.
#[derive(Default)]
struct Line {
    text: String,
    event: String,
    user: String,
    home: String,
    sid: String,
    epoch: String,
    resent: u64,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "event" {
            value.clone_into(&mut self.event);
        }
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "resent" {
            self.resent += value;
        }
        self.record_debug(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let space = if self.text.is_empty() { "" } else { " " };
        match field.name() {
            "user" => self.user = format!("{value:?}"),
            "home" => self.home = format!("{value:?}"),
            "sid" => self.sid = format!("{value:?}"),
            "epoch" => self.epoch = format!("{value:?}"),
            _ => {}
        }
        write!(self.text, "{space}{}={value:?}", field.name()).expect("a String takes whatever is written to it");
    }
}
