//! The broker over real sockets: clients that others wrote, clients that misbehave, and the end of the role.

#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

mod homes;
mod mosquitto;
mod raw;
mod role;
mod rumqtt;

use std::{net::SocketAddr, thread::JoinHandle};

use baton_broker_sim::{admin, config::Config, run};
use baton_process::{
    config::{Inputs, Reader, Shared},
    env::Env,
    metrics::Metrics,
    net::{TcpKind, TcpListen},
    phase::{Phase, Phases},
    role::Role,
    run::Exit,
};
use tokio::runtime::{Builder, LocalOptions};

/// A broker-sim on a thread of its own, on ports that were free.
struct Running {
    plain: SocketAddr,
    home: SocketAddr,
    phases: Phases,
    metrics: Metrics,
    thread: Option<JoinHandle<std::io::Result<Exit>>>,
}

impl Running {
    fn start(sets: &[&str]) -> Self {
        let sets = sets.iter().map(|set| (*set).to_owned()).collect();
        let mut reader = Reader::new(&Inputs { sets, ..Inputs::default() });
        let (shared, config) = (Shared::read(&mut reader, Role::BrokerSim), Config::read(&mut reader));
        reader.finish().unwrap();
        let (sender, started) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
            runtime.block_on(async move {
                let env = Env::simulated(Role::BrokerSim, shared, 1);
                let bind = |kind| TcpListen::bind("127.0.0.1:0", kind, &env.metrics).unwrap();
                let plain = bind(TcpKind::Session);
                let homes: Vec<_> = config.homes.iter().map(|(name, _)| (name.clone(), bind(TcpKind::Link))).collect();
                let addresses = (plain.local_addr().unwrap(), homes[0].1.local_addr().unwrap());
                sender.send((addresses, env.phases.clone(), env.metrics.clone())).unwrap();
                let (_, requests) = admin::routes();
                run::run(config, env, run::Listeners { plain, homes }, requests).await
            })
        });
        let ((plain, home), phases, metrics) = started.recv().unwrap();
        Self { plain, home, phases, metrics, thread: Some(thread) }
    }

    /// One of its numbers.
    fn number(&self, name: &str) -> u64 {
        let text = self.metrics.encode();
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        line.unwrap_or_else(|| panic!("{name} in {text}")).rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// SIGTERM, and how it ended.
    fn stop(mut self) -> Exit {
        self.phases.enter(Phase::Draining);
        self.thread.take().unwrap().join().unwrap().unwrap()
    }
}
