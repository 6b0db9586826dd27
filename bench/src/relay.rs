//! A TCP relay as one writes it with tokio in an afternoon: `copy_bidirectional`, a task a connection.

use std::{io, net::SocketAddr, thread};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::{Builder, LocalOptions},
    task::spawn_local,
};

/// Relays each connection to `to`, on so many threads, until the process ends.
///
/// # Errors
/// The address, or a thread, can't be had.
pub(crate) fn run(listen: SocketAddr, to: SocketAddr, threads: u8) -> io::Result<()> {
    for _ in 1..threads {
        thread::Builder::new().name("relay".into()).spawn(move || {
            if let Err(error) = work(listen, to) {
                eprintln!("baton bench relay: {error}");
            }
        })?;
    }
    work(listen, to)
}

fn work(listen: SocketAddr, to: SocketAddr) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(async { accept(crate::listen(listen, true)?, to).await })
}

async fn accept(listener: TcpListener, to: SocketAddr) -> io::Result<()> {
    loop {
        let (mut client, _) = listener.accept().await?;
        spawn_local(async move {
            // However it ends, it ends for this client only.
            let relay = async {
                client.set_nodelay(true)?;
                let mut server = TcpStream::connect(to).await?;
                server.set_nodelay(true)?;
                copy_bidirectional(&mut client, &mut server).await
            };
            drop(relay.await);
        });
    }
}
