//! The broker over real sockets: clients that others wrote, clients that misbehave, and the end of the role.

#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

mod admin;
mod connections;
mod faults;
mod homes;
mod mosquitto;
mod raw;
mod role;
mod rumqtt;
mod transcript;
mod websocket;

use std::{net::SocketAddr, thread::JoinHandle};

use baton_broker_sim::{config::Config, run};
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
    admin: SocketAddr,
    phases: Phases,
    metrics: Metrics,
    thread: Option<JoinHandle<std::io::Result<Exit>>>,
}

impl Running {
    fn start(sets: &[&str]) -> Self {
        let sets = ["anchor.name=home-1"].iter().chain(sets).map(|set| (*set).to_owned()).collect();
        let mut reader = Reader::new(&Inputs { sets, ..Inputs::default() });
        let (shared, config) = (Shared::read(&mut reader, Role::BrokerSim), Config::read(&mut reader));
        reader.finish().unwrap();
        let (sender, started) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
            runtime.block_on(async move {
                let env = Env::simulated(Role::BrokerSim, shared, 1);
                let bind = |kind| TcpListen::bind("edge.listen", "127.0.0.1:0", kind, &env.metrics).unwrap();
                let plain = bind(TcpKind::Session);
                let homes: Vec<_> = config.homes.iter().map(|(name, _)| (name.clone(), bind(TcpKind::Link))).collect();
                let (routes, requests) = baton_broker_sim::admin::routes();
                let admin = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                let addresses =
                    (plain.local_addr().unwrap(), homes[0].1.local_addr().unwrap(), admin.local_addr().unwrap());
                tokio::task::spawn_local(axum::serve(admin, routes).into_future());
                sender.send((addresses, env.phases.clone(), env.metrics.clone())).unwrap();
                run::run(config, env, run::Listeners { plain, homes }, requests).await
            })
        });
        let ((plain, home, admin), phases, metrics) = started.recv().unwrap();
        Self { plain, home, admin, phases, metrics, thread: Some(thread) }
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
