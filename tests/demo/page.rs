//! `--page`: what it shows, to whom, and what its buttons do.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use baton_drill::tier::http::{Response, request_with};
use rustix::process::Signal;

use crate::{Demo, PATIENCE, STOPPED, browser::Browser, eventually};

/// The page, asked without a browser.
struct Page {
    address: SocketAddr,
    token: String,
}

impl Page {
    fn at(address: SocketAddr) -> Self {
        let mut page = Self { address, token: String::new() };
        let text = page.ask("GET", "/", "").body;
        page.token = text.split("token = '").nth(1).unwrap().split('\'').next().unwrap().to_owned();
        page
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Response {
        request_with(self.address, method, path, body, PATIENCE).unwrap()
    }

    fn status(&self, path: &str) -> u16 {
        self.ask("POST", path, &self.token).status
    }

    fn eventually(&self, status: u16, path: &str) {
        let found = eventually(|| (self.status(path) == status).then_some(()));
        assert!(found.is_some(), "{path} isn't answered with {status}");
    }

    /// What is answered to a browser that was led there by the name of another site.
    fn status_by_another_name(&self) -> u16 {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: elsewhere.example\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

/// An origin ends, and comes back; its sessions have moved.
fn ends(demo: &mut Demo, told: &str) {
    demo.until(told);
    demo.until("it is started again");
    let moved = demo.until("sessions moved: ").pop().unwrap();
    assert!(moved.ends_with("clients dropped: 0"), "{moved}");
}

#[test]
fn the_page_shows_the_tier_and_its_buttons_end_origins() {
    let mut demo = Demo::start("page", &["--seconds", "1", "--page"]);
    let line = demo.until("To look at").pop().unwrap();
    let url = &line[line.find("http://").unwrap()..];
    let page = Page::at(url["http://".len()..].trim_end_matches('/').parse().unwrap());
    assert_eq!(page.status_by_another_name(), 403);
    demo.until("clients are connected");
    // The processes are known with the first look.
    page.eventually(409, "/drain/origin-1");
    assert_eq!(page.ask("POST", "/drain/origin-1", "guessed").status, 403);
    assert_eq!(page.status("/drain/edge-1"), 404);

    demo.until("kill -KILL");
    page.eventually(202, "/drain/origin-1");
    ends(&mut demo, "DEPLOY origin-1, by the page");
    assert_eq!(page.status("/kill/origin-2"), 202);
    ends(&mut demo, "CRASH origin-2, by the page");
    let state: serde_json::Value = serde_json::from_str(&page.ask("GET", "/state", "").body).unwrap();
    assert_eq!(
        (&state["clients"], &state["dropped"], &state["free"]),
        (&40.into(), &0.into(), &true.into()),
        "{state}"
    );
    assert!(state["nodes"].as_array().unwrap().iter().any(|node| node["name"] == "edge-2" && node["sessions"] == 20));
    if let Some(browser) = Browser::at(url, "page-browser") {
        in_a_browser(browser, &mut demo);
    }
    demo.signal(Signal::INT);
    let (_, errors, status) = demo.fail();
    assert_eq!((status.code(), errors.as_str()), (Some(0), STOPPED));
}

/// Somebody looks, and clicks.
fn in_a_browser(mut browser: Browser, demo: &mut Demo) {
    for (column, node) in [("edges", "edge-1"), ("origins", "origin-3"), ("homes", "broker-1")] {
        browser.until(&format!("document.querySelector('#{column} #{node} b').textContent > 0"));
    }
    browser.until("document.querySelectorAll('#course polyline').length == 2");
    assert_eq!(browser.value("document.querySelectorAll('button').length"), 6);
    // The first one's sessions go to the second, among others.
    for (origin, button, told) in
        [("origin-3", 0, "DEPLOY origin-3, by the page"), ("origin-1", 1, "CRASH origin-1, by the page")]
    {
        let button = format!("document.querySelectorAll('#{origin} button')[{button}]");
        browser.until(&format!("!{button}.disabled"));
        browser.value(&format!("{button}.click()"));
        ends(demo, told);
        browser.until(&format!("document.getElementById('lines').textContent.includes('{told}')"));
        browser.until(&format!("document.getElementById('{origin}').className == 'node'"));
    }
    let numbers = browser.value("document.getElementById('numbers').textContent");
    assert!(numbers.as_str().unwrap().contains("connections dropped 0"), "{numbers}");
}
