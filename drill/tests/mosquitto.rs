//! Loads against Debian's mosquitto, without any relay: what the ledger calls clean must be clean there.

use std::time::Duration;

use baton_drill::{
    client::Client,
    load::{Load, Plan, Progress, Shape, Tempo},
    sys::{Account, Sys},
    tier::{Broker, Error, Layout, Role, Tier},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A tier of one mosquitto; `None`, in one line, where it isn't installed.
fn mosquitto() -> Option<Tier> {
    let layout = Layout { edges: 0, origins: 0, homes: 0, broker: Broker::Mosquitto, ..Layout::new("baton") };
    match Tier::new(layout) {
        Err(error @ Error::NotInstalled(_)) => {
            eprintln!("skipped: {error}");
            None
        }
        tier => {
            let mut tier = tier.expect("ports and a directory");
            tier.start_all().expect("mosquitto starts");
            Some(tier)
        }
    }
}

fn plan(tier: &Tier, name: &str, clients: u32) -> Plan {
    Plan::new(name, &[tier.address("broker-1").expect("there is one")], clients)
}

#[test]
fn pairs_at_a_rate_are_clean() {
    let Some(tier) = mosquitto() else { return };
    let load = Load::start(Plan { tempo: Tempo::Rate(2_000), ..plan(&tier, "pairs", 200) }).unwrap();
    load.ready(PATIENCE).unwrap();
    load.publish();
    load.received(2_000, PATIENCE).unwrap();
    assert!(load.take_window().latency.count > 0);
    let report = load.finish(PATIENCE);
    assert!(report.verdict.is_clean(), "{report}");
    assert!(report.verdict.tallies.iter().all(|tally| tally.received >= 500), "{report}");
    assert_eq!(tier.connects("broker-1").unwrap(), 200.0);
}

#[test]
fn fans_in_a_closed_loop_are_clean() {
    let Some(tier) = mosquitto() else { return };
    let fans = Plan { shape: Shape::Fans(4), tempo: Tempo::Closed(3), payload: 1_000, ..plan(&tier, "fans", 50) };
    let load = Load::start(Plan { sources: 3, ..fans }).unwrap();
    load.ready(PATIENCE).unwrap();
    load.publish();
    load.received(5_000, PATIENCE).unwrap();
    let report = load.finish(PATIENCE);
    assert!(report.verdict.is_clean(), "{report}");
    let total = report.verdict.total();
    assert_eq!(total.received, total.sent * 4, "{report}");
}

#[test]
fn a_client_that_pauses_gets_everything_later() {
    let Some(tier) = mosquitto() else { return };
    let plan = Plan { shape: Shape::OneWay, payload: 20_000, tempo: Tempo::Rate(1_000), ..plan(&tier, "pause", 4) };
    let load = Load::start(plan).unwrap();
    load.ready(PATIENCE).unwrap();
    load.client(1, Client::pause_reading).unwrap();
    load.publish();
    load.received(500, PATIENCE).unwrap();
    let Progress { totals, .. } = load.progress();
    assert!(totals.sent > totals.received + 100, "{totals:?}");
    load.stop();
    load.client(1, Client::resume_reading).unwrap();
    let report = load.finish(PATIENCE);
    assert!(report.verdict.is_clean(), "{report}");
}

#[test]
fn a_killed_broker_drops_everybody_and_comes_back_on_its_port() {
    let Some(mut tier) = mosquitto() else { return };
    let load = Load::start(plan(&tier, "killed", 10)).unwrap();
    load.ready(PATIENCE).unwrap();
    tier.kill("broker-1").unwrap();
    load.until(PATIENCE, |progress| progress.counts.dropped == 10).unwrap();
    let report = load.finish(PATIENCE);
    assert_eq!(report.verdict.dropped(), 10, "{report}");
    assert!(!report.verdict.is_clean() && report.survivors.is_clean(), "{report}");
    assert!(matches!(tier.kill("broker-1"), Err(Error::NotRunning(_))));

    tier.restart("broker-1").unwrap();
    let load = Load::start(plan(&tier, "back", 10)).unwrap();
    load.ready(PATIENCE).unwrap();
    tier.terminate("broker-1").unwrap();
    assert!(tier.exit("broker-1", PATIENCE).unwrap().success());
    assert!(load.ready(PATIENCE).is_err());
}

#[test]
fn a_will_is_a_stray_at_whoever_hears_it() {
    let Some(tier) = mosquitto() else { return };
    let load = Load::start(Plan { wills: true, ..plan(&tier, "wills", 4) }).unwrap();
    load.ready(PATIENCE).unwrap();
    load.client(0, Client::leave).unwrap();
    load.until(PATIENCE, |progress| progress.counts.left == 1).unwrap();
    load.client(2, Client::abort).unwrap();
    load.until(PATIENCE, |progress| progress.totals.received == 1).unwrap();
    let verdict = load.finish(PATIENCE).verdict;
    assert_eq!((verdict.strays, verdict.is_clean()), (1, false), "{verdict}");
    assert_eq!(verdict.first_fault.as_deref(), Some("client 3 got 8 bytes that nobody published"));
}

#[test]
fn its_own_account_shows_one_connection_one_loss_and_one_will() {
    let Some(mut tier) = mosquitto() else { return };
    tier.kill("broker-1").unwrap();
    tier.set("broker-1", "sys_interval", "1").unwrap();
    tier.restart("broker-1").unwrap();
    let sys = Sys::listen(tier.address("broker-1").unwrap()).unwrap();
    let first = sys.until(PATIENCE, |account| account.updates > 0).unwrap();
    assert_eq!((first.connections, first.connected, first.sent), (0, 1, 0));

    let load = Load::start(Plan { wills: true, tempo: Tempo::Rate(500), ..plan(&tier, "herd", 50) }).unwrap();
    load.ready(PATIENCE).unwrap();
    load.publish();
    load.received(1_000, PATIENCE).unwrap();
    load.stop();
    load.until(PATIENCE, |progress| progress.totals.sent == progress.totals.received).unwrap();
    let Account { connections, connected, lost, sent, .. } = sys.settled(PATIENCE).unwrap();
    assert_eq!((connections, connected, lost), (50, 51, 0));
    assert_eq!(sent, load.progress().totals.received);

    let one = Load::start(plan(&tier, "one", 1)).unwrap();
    one.ready(PATIENCE).unwrap();
    let Account { connections, connected, lost, .. } = sys.settled(PATIENCE).unwrap();
    assert_eq!((connections, connected, lost), (51, 52, 0));

    load.client(0, Client::abort).unwrap();
    load.until(PATIENCE, move |progress| progress.totals.received == sent + 1).unwrap();
    let Account { connections, lost, sent: all, .. } = sys.settled(PATIENCE).unwrap();
    assert_eq!((connections, lost, all), (51, 1, sent + 1));
    // So does its log; a client that comes again under its name takes the place of one that had a will too.
    assert_eq!(tier.wills("broker-1").unwrap(), 1.0);
    let again = Load::start(Plan { clients: 3, ..load.plan().clone() }).unwrap();
    again.ready(PATIENCE).unwrap();
    assert_eq!(tier.wills("broker-1").unwrap(), 3.0);

    tier.kill("broker-1").unwrap();
    let closed = sys.until(PATIENCE, |account| account.updates == u64::MAX).unwrap_err().to_string();
    assert!(closed.starts_with("the broker's $SYS: ") && !closed.contains("in time"), "{closed}");
}

#[test]
fn who_publishes_to_itself_needs_nobody() {
    let Some(tier) = mosquitto() else { return };
    let plan = Plan { shape: Shape::Selves, tempo: Tempo::Closed(2), ..plan(&tier, "selves", 1) };
    let load = Load::start(plan).unwrap();
    load.ready(PATIENCE).unwrap();
    load.publish();
    load.received(30, PATIENCE).unwrap();
    let report = load.finish(PATIENCE);
    assert!(report.verdict.is_clean(), "{report}");
}

#[test]
fn a_stopped_broker_is_silent_and_goes_on() {
    let Some(tier) = mosquitto() else { return };
    let load = Load::start(Plan { tempo: Tempo::Rate(500), ..plan(&tier, "stopped", 10) }).unwrap();
    load.ready(PATIENCE).unwrap();
    load.publish();
    load.received(100, PATIENCE).unwrap();
    tier.stop("broker-1").unwrap();
    let sent = load.progress().totals.sent;
    load.until(PATIENCE, move |progress| progress.totals.sent > sent + 100).unwrap();
    tier.cont("broker-1").unwrap();
    let report = load.finish(PATIENCE);
    assert!(report.verdict.is_clean(), "{report}");
    assert!(report.verdict.latency.max > 100_000, "{report}");
}

#[test]
fn processes_that_cannot_work_are_reported_with_what_they_said() {
    let Some(mut tier) = mosquitto() else { return };
    assert_eq!(tier.names(Role::Broker), ["broker-1"]);
    assert!(matches!(tier.start("broker-1"), Err(Error::Running(_))));
    tier.kill("broker-1").unwrap();
    tier.set("broker-1", "no_such_setting", "1").unwrap();
    let error = tier.restart("broker-1").unwrap_err();
    assert!(matches!(&error, Error::Exited { log, .. } if log.contains("no_such_setting")), "{error}");
    let error = tier.metrics("broker-1").unwrap_err();
    assert!(matches!(error, Error::NoSuchNode(_)), "{error}");
}

/// Whether a process is still there, or was and nobody reaped it.
fn exists(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_panic_leaves_no_process_but_the_logs() {
    let Some(tier) = mosquitto() else { return };
    let (pid, directory) = (tier.pid("broker-1").unwrap(), tier.directory().to_owned());
    assert!(exists(pid));
    let panicked = std::thread::spawn(move || {
        let _tier = tier;
        panic!("on purpose");
    });
    assert!(panicked.join().is_err());
    assert!(!exists(pid));
    assert!(directory.join("broker-1.log").exists());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_tier_that_is_left_runs_on() {
    let Some(tier) = mosquitto() else { return };
    let (pid, plan, directory) = (tier.pid("broker-1").unwrap(), plan(&tier, "left", 2), tier.directory().to_owned());
    tier.leave_running();
    let load = Load::start(plan).unwrap();
    load.ready(PATIENCE).unwrap();
    let id = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
    load.until(PATIENCE, |progress| progress.counts.dropped == 2).unwrap();
    rustix::process::waitpid(Some(id), rustix::process::WaitOptions::empty()).unwrap();
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_tier_that_is_dropped_leaves_nothing() {
    let Some(tier) = mosquitto() else { return };
    let (pid, directory) = (tier.pid("broker-1").unwrap(), tier.directory().to_owned());
    tier.stop("broker-1").unwrap();
    drop(tier);
    assert!(!exists(pid) && !directory.exists());
}
