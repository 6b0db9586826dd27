//! All of it as a page, with plots.

use std::{collections::BTreeSet, error::Error, fmt::Write, fs, path::Path, time::SystemTime};

use super::{
    Middle, Options, gates,
    loads::{FEW, FEW_WINDOW, Loads, MANY, MANY_WINDOW},
    plot,
    rest::{CLIENTS, CROWD, HERD, Rest},
};
use crate::{
    figure::Figure,
    machine,
    measure::{Turn, count},
    restart::Disruption,
    stack::Kind,
};

const PAGE: &str = "benchmarks.md";
const COST: &str = "benchmarks-processor-time.svg";
const RESTART: &str = "benchmarks-restart.svg";

/// What was compared, and how.
pub(super) struct Head<'a> {
    pub(super) stacks: &'a [Kind],
    /// Why others weren't, a line for each.
    pub(super) left_out: &'a [String],
    /// The machine, before anything was played.
    pub(super) began: &'a [String],
    pub(super) options: &'a Options,
}

/// Writes the page and its plots into a directory.
pub(super) fn write(
    directory: &Path,
    what: &Head<'_>,
    (loads, rest): (&Loads, &Rest),
    figures: &[Figure],
) -> Result<(), Box<dyn Error>> {
    let mut page = String::new();
    head(&mut page, what, loads.steal());
    held_to(&mut page, figures);
    if plot::cost(&directory.join(COST), loads)? {
        writeln!(page, "\n![Processor time per message of each program, 1000:1]({COST})")?;
    }
    for load in loads.names() {
        table(&mut page, what.stacks, loads, load)?;
    }
    if let Some((load, kind)) = loads.too_much {
        writeln!(
            page,
            "\n{load} isn't shown: before {kind} it had no valid turn in one of the rounds. No higher rate was played."
        )?;
    }
    better(&mut page, loads, rest)?;
    if what.options.load.is_empty() {
        memory(&mut page, rest)?;
        restarts(&mut page, rest)?;
        plot::restart(&directory.join(RESTART), rest)?;
        writeln!(page, "\n![Messages delivered in each tenth of a second around one restart]({RESTART})")?;
    }
    fs::write(directory.join(PAGE), page)?;
    println!("\nwritten: {}", directory.join(PAGE).display());
    Ok(())
}

fn head(page: &mut String, Head { stacks, left_out, began, options }: &Head<'_>, steal: f64) {
    let Options { rounds, seconds, slow_rounds, .. } = options;
    // At the beginning and at the end the same, but for the load.
    let mut machine = began.to_vec();
    machine.extend(
        machine::lines().into_iter().filter(|line| !began.contains(line)).map(|line| format!("at the end: {line}")),
    );
    let others: BTreeSet<_> = stacks.iter().filter_map(|kind| kind.version()?.ok()).collect();
    let lines: Vec<_> = machine.iter().chain(&others).chain(*left_out).map(|line| format!("- {line}")).collect();
    let text = format!(
        "# Baton beside other proxies
This page is written by `bench/compare`, and by nobody else. {date}, commit {commit}.{partial}

{lines}

Every stack stands before the same broker, which does as little as a broker can (`bench/src/sink.rs`), and under the same
clients. Baton is an edge, an origin and a sidecar; HAProxy, nginx (stream) and a plain relay written with tokio are two TCP
hops, Envoy two hops with HTTP/2 CONNECT between them; x1 and x2 are threads of each hop. Everything is on one machine, on
loopback, in fresh processes for each turn. Stacks take turns, {rounds} rounds of {seconds} s each; memory and restarts of the others
have {slow_rounds}. Figures are medians, with the least and the most in brackets. A turn that failed or lost a message, in
which the clients themselves were what was slow, or in which the host took over 5 % of the processors, was run again, twice
at most; in those under load that count it took {steal:.1} % at most.

A load is called by its pairs of publisher and subscriber, its quality of service, and its messages a second; without those,
each publisher has {FEW_WINDOW} messages under way, or {MANY_WINDOW} where there are 1,000. All messages have 64 bytes.
",
        date = date(),
        commit = machine::commit(),
        partial = if options.is_whole() { "" } else { " Not all stacks and loads were asked for." },
        lines = lines.join("\n"),
        steal = steal * 100.0,
    );
    page.push_str(&text);
}

fn held_to(page: &mut String, figures: &[Figure]) {
    page.push_str("\n## What Baton is held to\n| Figure | Came out | Target | |\n|---|---|---|---|\n");
    for figure in figures {
        let [name, value, target, verdict] = figure.cells();
        let verdict = if figure.met() { verdict } else { format!("**{verdict}**") };
        page.push_str(&format!("| {name} | {value} | {target} | {verdict} |\n"));
    }
}

fn range(middle: Middle, digits: usize) -> String {
    if middle.median.is_nan() {
        return "unknown".to_owned();
    }
    if middle.least >= middle.most {
        return format!("{:.digits$}", middle.median);
    }
    format!("{:.digits$} ({:.digits$}-{:.digits$})", middle.median, middle.least, middle.most)
}

fn table(page: &mut String, stacks: &[Kind], loads: &Loads, load: &'static str) -> std::fmt::Result {
    writeln!(page, "\n## {load}")?;
    if gates::highest_rate(stacks, loads) == Some(load) {
        writeln!(page, "The highest rate at which no program of any stack took 70 % of a processor.\n")?;
    }
    writeln!(
        page,
        "| Stack | Messages a second | Processor time of all hops, us per message | Each hop | Broker | p50, us | p99, us |"
    )?;
    writeln!(page, "|---|---|---|---|---|---|---|")?;
    for kind in loads.kinds(load) {
        let of = |what: fn(&Turn) -> f64| loads.middle(load, kind, what);
        let each: Vec<_> = (0..kind.hops())
            .map(|hop| format!("{:.2}", loads.middle(load, kind, |turn| turn.cost(hop)).median))
            .collect();
        let cells = [
            range(of(Turn::speed), 0),
            range(of(Turn::hops), 2),
            each.join(" + "),
            format!("{:.2}", of(Turn::broker).median),
            range(of(|turn| count(turn.window.latency.p50)), 0),
            range(of(|turn| count(turn.window.latency.p99)), 0),
        ];
        writeln!(page, "| {kind} | {} |", cells.join(" | "))?;
    }
    let most = loads.kinds(load).into_iter().map(|kind| loads.turns(load, kind)).max().unwrap_or(0);
    for kind in loads.kinds(load).into_iter().filter(|kind| loads.turns(load, *kind) < most) {
        writeln!(page, "\n{kind}: {} valid turns, not {most}.", loads.turns(load, kind))?;
    }
    Ok(())
}

/// Where others are better, said in so many words.
fn better(page: &mut String, loads: &Loads, rest: &Rest) -> std::fmt::Result {
    let mut said = Vec::new();
    let mut say = |what: String, ours: f64, theirs: &dyn Fn(Kind) -> f64| {
        let others = super::ALL.into_iter().filter(|kind| !matches!(kind, Kind::Direct | Kind::Baton));
        let names: Vec<_> = others.filter(|kind| theirs(*kind) < ours).map(|kind| kind.to_string()).collect();
        if ours.is_nan() {
            said.push(format!("- {what}: unknown, for Baton had no valid turn"));
        } else if !names.is_empty() {
            said.push(format!("- {what}: {}", names.join(", ")));
        }
    };
    for load in loads.names() {
        let cost = |kind| loads.middle(load, kind, Turn::hops).median;
        say(format!("{load}, processor time per message"), cost(Kind::Baton), &cost);
        let p50 = |kind| loads.middle(load, kind, |turn| count(turn.window.latency.p50)).median;
        say(format!("{load}, p50"), p50(Kind::Baton), &p50);
        let p99 = |kind| loads.middle(load, kind, |turn| count(turn.window.latency.p99)).median;
        say(format!("{load}, p99"), p99(Kind::Baton), &p99);
    }
    for load in [MANY, FEW] {
        let slowness = |kind| -loads.middle(load, kind, Turn::speed).median;
        say(format!("{load}, messages a second"), slowness(Kind::Baton), &slowness);
    }
    let slowness = |kind| -rest.connects_of(kind).median;
    say("clients that connect a second".to_owned(), slowness(Kind::Baton), &slowness);
    let memory = |kind: Kind| (0..kind.hops()).map(|hop| rest.memory_of(kind, hop).median).sum::<f64>();
    say("memory per idle session, all hops".to_owned(), memory(Kind::Baton), &memory);
    let wait = |kind: Kind| {
        let how = if kind == Kind::Baton { "SIGKILL" } else { kind.reload() };
        rest.restart_of(kind, how, |disruption| disruption.beyond().0).median
    };
    say("the wait after a restart, to Baton's after SIGKILL".to_owned(), wait(Kind::Baton), &wait);
    writeln!(page, "\n## Where others are better")?;
    writeln!(page, "{}", if said.is_empty() { "In none of these.".to_owned() } else { said.join("\n") })
}

fn memory(page: &mut String, rest: &Rest) -> std::fmt::Result {
    writeln!(page, "\n## Memory and connecting")?;
    writeln!(
        page,
        "Memory (RSS) per idle session of each hop, in kB: the slope from {} to {} sessions, each of which has carried 64 KiB
both ways. Clients that connect and subscribe, 64 at a time, {CLIENTS} in all.\n",
        CROWD.few, CROWD.many
    )?;
    writeln!(page, "| Stack | Memory of each hop | Clients a second |")?;
    writeln!(page, "|---|---|---|")?;
    for kind in super::ALL {
        let each: Vec<_> = (0..kind.hops()).map(|hop| range(rest.memory_of(kind, hop), 2)).collect();
        let connects = rest.connects_of(kind);
        if !connects.median.is_nan() || !rest.memory_of(kind, 0).median.is_nan() {
            writeln!(page, "| {kind} | {} | {} |", each.join(" + "), range(connects, 0))?;
        }
    }
    Ok(())
}

fn restarts(page: &mut String, rest: &Rest) -> std::fmt::Result {
    writeln!(page, "\n## One restart of the hop in the middle")?;
    writeln!(
        page,
        "{} clients in pairs, {} messages a second, QoS 0 and 1 in turn. A client that is dropped connects again after 100 ms, as
few libraries would. Waits are what a client waited longest for a message, beyond the same in a window of the same run in
which nothing was restarted. Baton has two origins here, of which one is restarted; the others have one hop in the middle.
What a client would have sent while it was away isn't in *Lost*.\n",
        HERD.clients, HERD.rate
    )?;
    writeln!(
        page,
        "| Stack | Restart | Times | Dropped | Lost | Doubled | Reordered | Wait beyond, p99.9, ms | Longest, ms |"
    )?;
    writeln!(page, "|---|---|---|---|---|---|---|---|---|")?;
    for (kind, how) in rest.ways() {
        let of = |what: fn(&Disruption) -> f64| rest.restart_of(kind, how, what);
        let cells = [
            range(of(|disruption| count(disruption.verdict.dropped())), 0),
            range(of(|disruption| count(disruption.verdict.total().lost)), 0),
            range(of(|disruption| count(disruption.verdict.total().duplicated)), 0),
            range(of(|disruption| count(disruption.verdict.total().reordered)), 0),
            range(of(|disruption| disruption.beyond().0), 1),
            range(of(|disruption| disruption.beyond().1), 1),
        ];
        writeln!(page, "| {kind} | {how} | {} | {} |", rest.restarts_of(kind, how).count(), cells.join(" | "))?;
    }
    Ok(())
}

/// The day, in UTC (from days since 1970, after Howard Hinnant's civil_from_days).
fn date() -> String {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let days = i64::try_from(seconds / 86_400).unwrap_or(0) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
