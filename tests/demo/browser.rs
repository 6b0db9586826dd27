//! A browser without a window, told what to do by the Chrome DevTools Protocol.

use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use crate::{PATIENCE, eventually, skip::skip};

const CHROMIUM: &str = "/usr/bin/chromium";

/// Its processes, while they are wanted: a group.
struct Chromium(Child);

impl Drop for Chromium {
    fn drop(&mut self) {
        // Fails only for one that has ended.
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        drop(self.0.wait());
    }
}

/// A page in it.
pub(crate) struct Browser {
    _chromium: Chromium,
    page: Tools,
}

impl Browser {
    /// Opens `url`, with what it keeps in the directory `profile`. None where there is no Chromium, which is noted.
    pub(crate) fn at(url: &str, profile: &str) -> Option<Self> {
        if !Path::new(CHROMIUM).exists() {
            skip("chromium is not installed");
            return None;
        }
        let profile = Path::new(env!("CARGO_TARGET_TMPDIR")).join(profile);
        // What another run left says where its browser listened.
        drop(fs::remove_dir_all(&profile));
        let chromium = Command::new(CHROMIUM)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let chromium = Chromium(chromium);
        let listens = eventually(|| {
            let said = fs::read_to_string(profile.join("DevToolsActivePort")).ok()?;
            let (port, path) = said.split_once('\n')?;
            Some((port.parse().ok()?, path.trim().to_owned()))
        });
        let (port, path) = listens.expect("it says where it listens");
        let made = Tools::at(port, &path).ask("Target.createTarget", &json!({ "url": url })).unwrap();
        let page = made["targetId"].as_str().unwrap();
        Some(Self { _chromium: chromium, page: Tools::at(port, &format!("/devtools/page/{page}")) })
    }

    /// What an expression is worth on the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true });
        let result = self.page.ask("Runtime.evaluate", &asked).unwrap_or_else(|error| panic!("{expression}: {error}"));
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true; one that can't be evaluated yet isn't.
    pub(crate) fn until(&mut self, expression: &str) {
        let asked = json!({ "expression": format!("Boolean({expression})"), "returnByValue": true });
        let is_true = || (self.page.ask("Runtime.evaluate", &asked).ok()?["result"]["value"] == true).then_some(());
        eventually(is_true).unwrap_or_else(|| panic!("not {expression}"));
    }
}

/// The DevTools' end of the browser, or of a page.
struct Tools {
    socket: WebSocket<TcpStream>,
    asked: u64,
}

impl Tools {
    fn at(port: u16, path: &str) -> Self {
        let stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = client(format!("ws://127.0.0.1:{port}{path}"), stream).expect("it speaks WebSocket");
        Self { socket, asked: 0 }
    }

    /// The result, or the error.
    fn ask(&mut self, method: &str, params: &Value) -> Result<Value, Value> {
        self.asked += 1;
        let asked = json!({ "id": self.asked, "method": method, "params": params });
        self.socket.send(Message::text(asked.to_string())).unwrap();
        loop {
            let Message::Text(text) = self.socket.read().expect("an answer") else { continue };
            let said: Value = serde_json::from_str(&text).unwrap();
            if said["id"] == self.asked {
                return if said["error"].is_null() { Ok(said["result"].clone()) } else { Err(said["error"].clone()) };
            }
        }
    }
}
