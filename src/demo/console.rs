//! Lines for people: plain ASCII, at most 100 columns, the time in front. On a terminal also colours, and below it all a
//! line that is rewritten in place.

use std::io::{self, IsTerminal, Write};

use baton_drill::pause::Watch;

use super::page::Page;

/// Columns of a line.
const WIDTH: usize = 100;

/// Back to the beginning of the line, and nothing on it (ECMA-48, 8.3.41).
const CLEAR: &str = "\r\x1b[K";
/// Whether what is too long for a terminal's line goes on below (DEC private mode 7).
const CUT: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

pub(super) struct Console {
    watch: Watch,
    terminal: bool,
    colours: bool,
    page: Option<Page>,
}

#[derive(Clone, Copy)]
enum Colour {
    Bold,
    Green,
    Red,
}

impl Console {
    /// Time counts from now. What is said is on the page too, if there is one.
    pub(super) fn start(page: Option<Page>) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let terminal = io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|kind| kind != "dumb");
        Self { watch: Watch::start(), terminal, colours: terminal && !plain, page }
    }

    pub(super) fn page(&self) -> Option<&Page> {
        self.page.as_ref()
    }

    /// Whether somebody sees a line that is rewritten.
    pub(super) fn is_live(&self) -> bool {
        self.terminal
    }

    /// How it stands, until the next line of any kind.
    pub(super) fn live(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        write!(out, "{CLEAR}{CUT}{}{text}{WRAP}", self.time())?;
        out.flush()
    }

    /// Nothing more of that line.
    pub(super) fn clear(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        self.erase(&mut out)?;
        out.flush()
    }

    /// Something is done now.
    pub(super) fn step(&self, text: &str) -> io::Result<()> {
        self.timed(text, Some(Colour::Bold))
    }

    /// Something was observed.
    pub(super) fn seen(&self, text: &str) -> io::Result<()> {
        self.timed(&format!("  {text}"), None)
    }

    /// Words without a time.
    pub(super) fn say(&self, text: &str) -> io::Result<()> {
        self.write(text, "", None)
    }

    /// The last word.
    pub(super) fn verdict(&self, text: &str, good: bool) -> io::Result<()> {
        self.write(text, "VERDICT: ", Some(if good { Colour::Green } else { Colour::Red }))
    }

    pub(super) fn blank(&self) -> io::Result<()> {
        self.write("", "", None)
    }

    fn timed(&self, text: &str, colour: Option<Colour>) -> io::Result<()> {
        self.write(text, &self.time(), colour)
    }

    fn time(&self) -> String {
        format!("{:6.1} s  ", self.watch.seconds())
    }

    fn erase(&self, out: &mut impl Write) -> io::Result<()> {
        if self.terminal { write!(out, "{CLEAR}") } else { Ok(()) }
    }

    fn write(&self, text: &str, head: &str, colour: Option<Colour>) -> io::Result<()> {
        let mut out = io::stdout().lock();
        self.erase(&mut out)?;
        for line in wrapped(head, text) {
            match colour.filter(|_| self.colours) {
                Some(colour) => writeln!(out, "\x1b[{}m{line}\x1b[0m", colour.code())?,
                None => writeln!(out, "{line}")?,
            }
            if let Some(page) = &self.page {
                page.note(&line);
            }
        }
        out.flush()
    }
}

impl Colour {
    /// SGR parameter (ECMA-48, 8.3.117).
    fn code(self) -> u8 {
        match self {
            Self::Bold => 1,
            Self::Red => 31,
            Self::Green => 32,
        }
    }
}

/// The text in lines of at most [`WIDTH`] columns, `head` before the first, and the others as far in. A longer word
/// keeps a line to itself.
fn wrapped(head: &str, text: &str) -> Vec<String> {
    let words = text.trim_start();
    let inset = " ".repeat(head.len() + text.len() - words.len());
    let mut lines = Vec::new();
    for part in words.split('\n') {
        let mut line = inset.clone();
        for (nth, word) in part.split(' ').enumerate() {
            if nth > 0 && line.len() + 1 + word.len() > WIDTH {
                lines.push(std::mem::replace(&mut line, inset.clone()));
            } else if nth > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines[0].replace_range(..head.len(), head);
    lines
}

/// A time in microseconds, as exact as people want it: 259 ms, 1.3 s.
pub(super) fn span(micros: u64) -> String {
    let ms = micros / 1_000;
    if ms < 1_000 { format!("{ms} ms") } else { format!("{}.{} s", ms / 1_000, ms % 1_000 / 100) }
}

/// A whole number with its thousands apart: 61,234.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_milliseconds_or_in_seconds() {
        let shown = [0, 999, 259_999, 999_999, 1_000_000, 4_290_000, 61_000_000].map(span);
        assert_eq!(shown, ["0 ms", "0 ms", "259 ms", "999 ms", "1.0 s", "4.2 s", "61.0 s"]);
    }

    #[test]
    fn thousands_are_apart() {
        let shown = [0, 999, 1_000, 61_234, 1_000_000].map(grouped);
        assert_eq!(shown, ["0", "999", "1,000", "61,234", "1,000,000"]);
    }

    #[test]
    fn long_lines_go_on_below_their_beginning() {
        assert_eq!(wrapped("  1.0 s  ", "  short"), ["  1.0 s    short"]);
        let text = "word ".repeat(30);
        let lines = wrapped("  1.0 s  ", &format!("  {}", text.trim_end()));
        assert!(lines.len() == 2 && lines.iter().all(|line| line.len() <= WIDTH), "{lines:?}");
        assert!(lines[1].starts_with("           word"), "{lines:?}");
        assert_eq!(lines.iter().map(|line| line.matches("word").count()).sum::<usize>(), 30);
        let endless = "x".repeat(WIDTH * 2);
        assert_eq!(wrapped("", &format!("a {endless} b")), ["a", &endless, "b"]);
        assert_eq!(wrapped("head: ", "one\ntwo  three"), ["head: one", "      two  three"]);
    }
}
