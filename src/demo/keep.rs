//! After the verdict, for `--keep`: the tier stays up for whoever wants to try things, and says what it sees.

use std::{io, time::Duration};

use baton_drill::{
    load::Load,
    pause::{Watch, pause},
    tier::{Error, Role, Signal, Tier},
};

use super::{
    Failure, Options,
    books::Books,
    console::Console,
    interrupt::Interrupt,
    live,
    page::{self, Page, Wish},
};

/// Time between two looks at the processes.
const LOOK: Duration = Duration::from_millis(250);
/// Time for a process to be back.
const PATIENCE: Duration = Duration::from_secs(30);

/// Goes on until a signal ends the process.
pub(super) fn go_on(
    options: &Options,
    console: &Console,
    interrupt: &Interrupt,
    tier: &mut Tier,
) -> Result<(), Failure> {
    let down: Vec<_> = tier.nodes().map(|(name, _)| name.to_owned()).filter(|name| tier.pid(name).is_err()).collect();
    let edges = tier.names(Role::Edge);
    let links = |tier: &Tier| edges.iter().map(|edge| tier.log_count(edge, "link.open")).sum::<Result<usize, _>>();
    let all = links(tier)? + edges.len() * down.len();
    interrupt.start(tier, &down)?;
    // Those that were down are to have their share of the clients: the edges have to know them first.
    let waited = Watch::start();
    while links(tier)? < all && waited.elapsed() < PATIENCE {
        pause(LOOK);
    }
    let load = Load::start(options.plan("kept", tier, true))?;
    load.ready(PATIENCE)?;
    load.publish();
    show(console, tier)?;
    if let Some(page) = console.page() {
        page.set_free();
    }
    let nodes = page::nodes(tier);
    live::beside(console, nodes, &load, || watch(console, interrupt, tier, &load))
}

fn watch(console: &Console, interrupt: &Interrupt, tier: &mut Tier, load: &Load) -> Result<(), Failure> {
    let look =
        |tier: &Tier| Ok::<_, Error>(Seen { books: Books::take(tier)?, dropped: load.progress().totals.dropped });
    let mut told = look(tier)?;
    let mut last = told;
    loop {
        pause(LOOK);
        fulfil(console, tier)?;
        revive(console, interrupt, tier)?;
        // Whoever doesn't answer has just been ended; the next look shows it.
        let Ok(now) = look(tier) else { continue };
        // A wave is told as one, when it is over.
        if now == last && now != told {
            tell(console, now, told)?;
            told = now;
        }
        last = now;
    }
}

/// Does what somebody asked for on the page.
fn fulfil(console: &Console, tier: &Tier) -> io::Result<()> {
    while let Some(wish) = console.page().and_then(Page::wish) {
        let (origin, signal, word) = match &wish {
            Wish::Drain(origin) => (origin, Signal::TERM, "DEPLOY"),
            Wish::Kill(origin) => (origin, Signal::KILL, "CRASH"),
        };
        console.step(&format!("{word} {origin}, by the page"))?;
        // One that has just ended can't be ended.
        if let Err(error) = tier.signal(origin, signal) {
            console.seen(&error.to_string())?;
        }
    }
    Ok(())
}

/// What a look shows.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    books: Books,
    dropped: u64,
}

fn tell(console: &Console, now: Seen, told: Seen) -> io::Result<()> {
    let Books { planned, broken, .. } = now.books - told.books;
    let dropped = now.dropped - told.dropped;
    if planned + broken + dropped == 0 {
        return Ok(());
    }
    console.seen(&format!(
        "sessions moved: {planned} make-before-break, {broken} after a lost tunnel; clients dropped: {dropped}"
    ))
}

/// Starts again whatever was ended from outside.
fn revive(console: &Console, interrupt: &Interrupt, tier: &mut Tier) -> Result<(), Failure> {
    let names: Vec<_> = tier.nodes().map(|(name, _)| name.to_owned()).collect();
    for name in names {
        match tier.exit(&name, Duration::ZERO) {
            Ok(status) => {
                interrupt.start(tier, std::slice::from_ref(&name))?;
                console.step(&format!("{name} ended ({status}); it is started again, pid {}", tier.pid(&name)?))?;
            }
            Err(Error::Late { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn show(console: &Console, tier: &Tier) -> Result<(), Failure> {
    console.blank()?;
    console.say("It goes on, until Ctrl-C. Whatever you end is started again.")?;
    console.blank()?;
    console.say("  process    pid      listens                metrics")?;
    for (name, _) in tier.nodes() {
        let (pid, listens) = (tier.pid(name)?, tier.address(name)?);
        let metrics = tier.admin(name).map_or_else(|_| "-".to_owned(), |admin| format!("http://{admin}/metrics"));
        console.say(&format!("  {name:9}  {pid:<7}  {listens:<21}  {metrics}"))?;
    }
    let edges = tier.edges();
    let origins = tier.names(Role::Origin);
    let (first, last) = (&origins[0], &origins[origins.len() - 1]);
    let (near, far) = (edges[0], edges[edges.len() - 1]);
    console.blank()?;
    console.say("Subscribe through one edge, publish through the other, from other terminals:")?;
    console.blank()?;
    console.say(&format!("  mosquitto_sub -h {} -p {} -t 'hello/#' -v", near.ip(), near.port()))?;
    console.say(&format!("  mosquitto_pub -h {} -p {} -t hello/world -q 1 -m hi", far.ip(), far.port()))?;
    console.blank()?;
    console.say("Then take origins away from under them:")?;
    console.blank()?;
    console.say(&format!("  kill -TERM {}     # {first} drains and ends", tier.pid(first)?))?;
    console.say(&format!("  kill -KILL {}     # {last} crashes", tier.pid(last)?))?;
    console.blank()?;
    Ok(())
}
