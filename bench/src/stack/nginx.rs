//! nginx's stream module as a TCP hop.

use std::{io, net::SocketAddr, path::Path};

/// Where Debian has the module.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// `nginx/...`; an error if its stream module isn't there.
pub(super) fn version() -> Result<String, String> {
    let line = super::says(&super::program("nginx")?, &["-v"])?;
    if !Path::new(MODULE).is_file() {
        return Err("nginx's stream module is not installed (libnginx-mod-stream)".to_owned());
    }
    Ok(line.rsplit(": ").next().unwrap_or(&line).to_owned())
}

/// How it is started: a master with a worker for each thread.
pub(super) fn command(directory: &Path, listen: SocketAddr, to: SocketAddr, threads: u8) -> io::Result<Vec<String>> {
    let program = super::program("nginx").map_err(io::Error::other)?;
    let file = directory.join("nginx.conf");
    std::fs::write(&file, configuration(directory, listen, to, threads))?;
    let directory = super::text(directory);
    Ok(vec![
        super::text(&program),
        "-e".into(),
        "stderr".into(),
        "-p".into(),
        directory,
        "-c".into(),
        super::text(&file),
    ])
}

/// `worker_shutdown_timeout`: as HAProxy's `hard-stop-after`.
fn configuration(directory: &Path, listen: SocketAddr, to: SocketAddr, threads: u8) -> String {
    let directory = directory.display();
    format!(
        "load_module {MODULE};
daemon off;
pid {directory}/nginx.pid;
error_log stderr crit;
worker_processes {threads};
worker_rlimit_nofile 20000;
worker_shutdown_timeout 5s;
events {{
    worker_connections 19990;
    multi_accept on;
}}
stream {{
    access_log off;
    tcp_nodelay on;
    proxy_connect_timeout 10s;
    proxy_timeout 24d;
    server {{
        listen {listen} backlog=4096 reuseport;
        proxy_pass {to};
    }}
}}
"
    )
}
