//! Typed getters over the merged values, which note mistakes and go on.

use std::{
    collections::BTreeSet,
    fmt::Write,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
};

use baton_protocol::{id::NodeName, limits::Millis};
use toml::Value;

use super::{
    report::{Mistake, Place, Report},
    source::{Inputs, Leaf, Path, Values},
    units,
};
use crate::{
    net::{Address, is_host_and_port},
    role::Role,
};

/// Entries of a list or a table of names: no tier we promise anything for is larger.
const ENTRIES: usize = 1024;
/// Slips within which an unknown key is taken for a known one: two letters that changed places are two.
const SLIPS: usize = 2;
/// Characters of a mistaken value that the report repeats.
const SHOWN: usize = 80;

/// A named node with its address, and its share of the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// The name that sessions carry.
    pub name: NodeName,
    /// `host:port`.
    pub address: String,
    /// Relative share of new sessions, 1 to 100.
    pub weight: u32,
}

/// Reads values out of the sources. Each getter takes a dotted key and the default.
#[derive(Debug)]
pub struct Reader {
    values: Values,
    asked: BTreeSet<Path>,
    served: Vec<Role>,
    mistakes: Vec<Mistake>,
}

impl Reader {
    /// Merges the sources.
    pub fn new(inputs: &Inputs) -> Self {
        let mut mistakes = Vec::new();
        let values = Values::merge(inputs, &mut mistakes);
        Self { values, asked: BTreeSet::new(), served: Vec::new(), mistakes }
    }

    /// Text of at least one character.
    pub fn text(&mut self, key: &str, default: &str) -> String {
        self.given(&split(key), "text", |leaf| text(leaf).filter(|text| !text.is_empty()).map(str::to_owned))
            .unwrap_or_else(|| default.into())
    }

    /// A node's name. The default must be one.
    pub fn node_name(&mut self, key: &str, default: &str) -> NodeName {
        self.given(&split(key), NODE_NAME, |leaf| NodeName::new(text(leaf)?)).unwrap_or_else(|| legal_default(default))
    }

    /// `host:port` to dial.
    pub fn address(&mut self, key: &str, default: &str) -> String {
        self.given(&split(key), ADDRESS, |leaf| address(text(leaf)?)).unwrap_or_else(|| default.into())
    }

    /// One URL to reach, or up to `most` different ones in the same form as [`Self::link_addresses`].
    pub fn urls(&mut self, key: &str, default: &str, most: usize) -> Vec<Address> {
        let expected = format!("1 to {most} different URLs ({URL})");
        self.given(&split(key), &expected, |leaf| {
            let one = text(leaf).and_then(Address::parse).map(|address| vec![address]);
            one.or_else(|| list(leaf, 1..=most, Address::parse))
        })
        .unwrap_or_else(|| vec![Address::parse(default).expect("a default is a legal URL")])
    }

    /// Up to `most` different IP addresses, in the same form as [`Self::link_addresses`].
    pub fn ips(&mut self, key: &str, most: usize) -> Vec<IpAddr> {
        let expected = format!("a list of at most {most} different IP addresses");
        self.given(&split(key), &expected, |leaf| list(leaf, 0..=most, |text| text.parse().ok())).unwrap_or_default()
    }

    /// One or more different addresses of the next tier: a list, or, in a variable or a `--set`, separated by commas.
    pub fn link_addresses(&mut self, key: &str, default: &[&str]) -> Vec<String> {
        let permitted = self.remote_links();
        let expected = format!("a list of 1 to {ENTRIES} different addresses ({})", link_form(permitted));
        self.given(&split(key), &expected, |leaf| list(leaf, 1..=ENTRIES, |text| link_address(text, permitted)))
            .unwrap_or_else(|| default.iter().map(|text| (*text).to_owned()).collect())
    }

    /// An address to take clients on: an IP address and a port, which may be 0 for any.
    pub fn listen(&mut self, key: &str, default: &str) -> String {
        self.given(&split(key), LISTEN, |leaf| listen_address(text(leaf)?, true)).unwrap_or_else(|| default.into())
    }

    /// An address to listen on, which has no protection of its own: on loopback, unless `permitted`, which is what the
    /// key `permit` says.
    pub(super) fn listen_unprotected(&mut self, key: &str, default: &str, permit: &str) -> String {
        let permitted = self.flag(permit, false);
        self.given(&split(key), &listen_form(permitted, permit), |leaf| listen_address(text(leaf)?, permitted))
            .unwrap_or_else(|| default.into())
    }

    /// An address to take other tiers' connections on.
    pub fn link_listen(&mut self, key: &str, default: &str) -> String {
        self.listen_unprotected(key, default, REMOTE_LINKS)
    }

    /// A duration within a range.
    pub fn duration(&mut self, key: &str, default: Millis, range: RangeInclusive<Millis>) -> Millis {
        self.optional_duration(key, range).unwrap_or(default)
    }

    /// A duration within a range, where none given means that we work it out.
    pub fn optional_duration(&mut self, key: &str, range: RangeInclusive<Millis>) -> Option<Millis> {
        let (least, most) = (units::show_duration(*range.start()), units::show_duration(*range.end()));
        self.given(&split(key), &format!("a duration from {least} to {most}"), |leaf| {
            units::duration(text(leaf)?).filter(|value| range.contains(value))
        })
    }

    /// A number of bytes within a range: a size such as "64KiB", or a plain integer.
    pub fn size(&mut self, key: &str, default: u64, range: RangeInclusive<u64>) -> u64 {
        let (least, most) = (units::show_size(*range.start()), units::show_size(*range.end()));
        self.given(&split(key), &format!("a size from {least} to {most}"), |leaf| {
            let value = match leaf.value {
                Value::Integer(bytes) => u64::try_from(bytes).ok(),
                _ => units::size(text(leaf)?),
            };
            value.filter(|value| range.contains(value))
        })
        .unwrap_or(default)
    }

    /// A whole number within a range.
    pub fn count(&mut self, key: &str, default: u64, range: RangeInclusive<u64>) -> u64 {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.given(&split(key), &expected, |leaf| count(&leaf.value, &range)).unwrap_or(default)
    }

    /// Yes or no.
    pub fn flag(&mut self, key: &str, default: bool) -> bool {
        self.given(&split(key), "true or false", |leaf| leaf.value.as_bool()).unwrap_or(default)
    }

    /// One of some words.
    pub fn choice<T: Copy>(&mut self, key: &str, default: T, choices: &[(&str, T)]) -> T {
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        self.given(&split(key), &format!("one of {}", words.join(", ")), |leaf| {
            let word = text(leaf)?;
            choices.iter().find(|(name, _)| *name == word).map(|(_, value)| *value)
        })
        .unwrap_or(default)
    }

    /// A table of addresses to dial by node name, each an address or `{ address = ..., weight = ... }`; in the order of
    /// the names. If none is given, the default, with weight 1.
    pub fn homes(&mut self, key: &str, default: &[(&str, &str)]) -> Vec<Home> {
        let names = self.names(key);
        if names.is_empty() {
            let home = |(name, address): &(&str, &str)| Home {
                name: legal_default(name),
                address: (*address).into(),
                weight: 1,
            };
            return default.iter().map(home).collect();
        }
        names.into_iter().filter_map(|name| self.home(key, &name)).collect()
    }

    /// A table of addresses to take other tiers' connections on, by node name, in the order of the names.
    pub fn link_listens(&mut self, key: &str, default: &[(&str, &str)]) -> Vec<(NodeName, String)> {
        let permitted = self.remote_links();
        let names = self.names(key);
        if names.is_empty() {
            let entry = |(name, address): &(&str, &str)| (legal_default(name), (*address).to_owned());
            return default.iter().map(entry).collect();
        }
        let expected = listen_form(permitted, REMOTE_LINKS);
        let entry = |name: String| {
            let path = [split(key), vec![name.clone()]].concat();
            let address = self.given(&path, &expected, |leaf| listen_address(text(leaf)?, permitted));
            Some((self.legal_name(&path, &name)?, address?))
        };
        names.into_iter().filter_map(entry).collect()
    }

    /// Whether anything was given for this key.
    pub fn is_given(&self, key: &str) -> bool {
        self.values.under(&split(key)).next().is_some()
    }

    /// Notes a mistake that only shows when several values are seen together.
    pub fn refuse(&mut self, key: &str, expected: &str, got: &str) {
        let path = split(key);
        let place = self.values.get(&path).map_or(Place::Default, |leaf| leaf.place.clone());
        self.mistake(place, &path, expected, got);
    }

    /// Notes that the file which `--config` names can't be read.
    pub fn refuse_file(&mut self, name: &str, why: &str) {
        self.mistake(Place::Config, &[], "a file to read", &format!("{name}: {why}"));
    }

    /// Says that it's read for this role, perhaps among others. Sections that are for other roles only are left to them,
    /// in the file and in the environment: one file may serve every role. A `--set` of such a key stays a mistake, for it
    /// was meant for this process.
    pub(super) fn serve(&mut self, role: Role) {
        self.served.push(role);
    }

    /// Every key that was asked for so far, dotted.
    pub fn keys(&self) -> impl Iterator<Item = String> {
        self.asked.iter().map(|path| dotted(path))
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Every mistake found, and every key that nobody asked for.
    pub fn finish(mut self) -> Result<(), Report> {
        let mut unknown = 0;
        for (path, leaf) in self.values.iter() {
            let of_others = self.is_of_others(path);
            // A file may be for others as well; what was given to this process can't be meant for them.
            if self.asked.contains(path) || of_others && !leaf.place.is_of_this_process() {
                continue;
            }
            unknown += 1;
            let meant = (unknown <= EXPLAINED).then(|| self.meant(path)).flatten();
            let meant = meant.map(|key| format!(" (did you mean {key}?)"));
            let got = if of_others {
                "a key of another role".into()
            } else {
                format!("an unknown key{}", meant.unwrap_or_default())
            };
            self.mistakes.push(Mistake {
                place: leaf.place.clone(),
                key: dotted(path),
                expected: self.known_beside(path),
                got,
            });
        }
        Report::new(self.mistakes).map_or(Ok(()), Err)
    }

    /// The value at `path` as `read` sees it. None where none is given, or, with a mistake noted, where `read` says so.
    fn given<T>(&mut self, path: &[String], expected: &str, read: impl FnOnce(&Leaf) -> Option<T>) -> Option<T> {
        self.asked.insert(path.to_vec());
        let leaf = self.values.get(path)?;
        let value = read(leaf);
        if value.is_none() {
            let (place, got) = (leaf.place.clone(), show(&leaf.value));
            self.mistake(place, path, expected, &got);
        }
        value
    }

    fn home(&mut self, key: &str, name: &str) -> Option<Home> {
        let path = [split(key), vec![name.to_owned()]].concat();
        let below = |part: &str| [path.as_slice(), &[part.to_owned()]].concat();
        let permitted = self.remote_links();
        let weight = self.given(&below("weight"), "a weight from 1 to 100", |leaf| count(&leaf.value, &(1..=100)));
        let weight = weight.and_then(|weight| u32::try_from(weight).ok()).unwrap_or(1);
        self.asked.insert(path.clone());
        let place = if self.values.get(&path).is_some() { path.clone() } else { below("address") };
        let expected = format!("an address ({})", link_form(permitted));
        if self.values.get(&place).is_none() {
            let beside = self.values.under(&path).next().map_or(Place::Default, |(_, leaf)| leaf.place.clone());
            self.mistake(beside, &place, &expected, "none");
        }
        let address = self.given(&place, &expected, |leaf| link_address(text(leaf)?, permitted));
        Some(Home { name: self.legal_name(&path, name)?, address: address?, weight })
    }

    /// Whether links, which are neither encrypted nor authenticated yet, may leave this machine.
    pub(super) fn remote_links(&mut self) -> bool {
        self.flag(REMOTE_LINKS, false)
    }

    fn mistake(&mut self, place: Place, path: &[String], expected: &str, got: &str) {
        self.mistakes.push(Mistake { place, key: dotted(path), expected: expected.into(), got: got.into() });
    }

    /// The names in a table, in their order.
    fn names(&mut self, key: &str) -> Vec<String> {
        let path = split(key);
        let names: BTreeSet<_> = self.values.under(&path).filter_map(|(key, _)| key.get(path.len()).cloned()).collect();
        if names.len() > ENTRIES {
            self.refuse(key, &format!("at most {ENTRIES} names"), &names.len().to_string());
        }
        names.into_iter().take(ENTRIES).collect()
    }

    fn legal_name(&mut self, path: &[String], name: &str) -> Option<NodeName> {
        let legal = NodeName::new(name);
        if legal.is_none() {
            let place = self.values.under(path).next().map_or(Place::Default, |(_, leaf)| leaf.place.clone());
            self.mistake(place, path, NODE_NAME, &format!("{name:?}"));
        }
        legal
    }

    /// Whether this key is in a section of roles that nothing is read for here.
    fn is_of_others(&self, path: &[String]) -> bool {
        let reads =
            |role: &Role| role.sections().iter().any(|section| path.first().is_some_and(|name| name == section));
        !self.served.is_empty() && Role::ALL.iter().any(reads) && !self.served.iter().any(reads)
    }

    /// What may have been meant by an unknown key: the known one that a slip of the finger or two turns into it, or those of
    /// its name in other sections.
    fn meant(&self, path: &[String]) -> Option<String> {
        let key = dotted(path);
        let near = self.keys().map(|known| (slips(&known, &key), known)).filter(|(slips, _)| *slips <= SLIPS).min();
        let namesakes = self.asked.iter().filter(|known| known.last() == path.last());
        let namesakes = || namesakes.map(|known| dotted(known)).collect::<Vec<_>>().join(" or ");
        Some(near.map_or_else(namesakes, |(_, known)| known)).filter(|meant| !meant.is_empty())
    }

    /// The keys that would have been right in the place of an unknown one.
    fn known_beside(&self, path: &[String]) -> String {
        for above in (0..path.len()).rev() {
            let beside = self.asked.iter().filter(|known| known.starts_with(&path[..above]));
            let names: BTreeSet<&str> = beside.filter_map(|known| known.get(above)).map(String::as_str).collect();
            if !names.is_empty() {
                return format!("one of {}", names.into_iter().collect::<Vec<_>>().join(", "));
            }
        }
        "no key".into()
    }
}

/// Unknown keys for which one is looked for that may have been meant, in a file that may have a hundred thousand.
const EXPLAINED: usize = 100;
const ADDRESS: &str = "an address (host:port)";
const URL: &str = "tcp://host:port or unix:///path";
const LISTEN: &str = "an address to listen on (ip:port)";
const REMOTE_LINKS: &str = "links.allow_remote";
const NODE_NAME: &str = "a name of 1 to 64 of a-z A-Z 0-9 . _ -";

/// The parts of one of our own keys, none of which holds a dot.
fn split(key: &str) -> Path {
    key.split('.').map(str::to_owned).collect()
}

/// A key as the file would have it.
fn dotted(path: &[String]) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let mut text = String::new();
    for part in path {
        let dot = if text.is_empty() { "" } else { "." };
        let quoted = part.is_empty() || !part.chars().all(bare);
        let written = if quoted { write!(text, "{dot}{part:?}") } else { write!(text, "{dot}{part}") };
        written.expect("a String takes whatever is written to it");
    }
    text
}

/// Letters left out, put in or changed between two texts (Levenshtein's distance).
fn slips(one: &str, other: &str) -> usize {
    let mut above: Vec<usize> = (0..=other.chars().count()).collect();
    for (row, a) in one.chars().enumerate() {
        let mut left = row + 1;
        let mut diagonal = std::mem::replace(&mut above[0], left);
        for (cell, b) in above[1..].iter_mut().zip(other.chars()) {
            left = (diagonal + usize::from(a != b)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, left);
        }
    }
    above.last().copied().unwrap_or_default()
}

fn text(leaf: &Leaf) -> Option<&str> {
    leaf.value.as_str().or(leaf.raw.as_deref())
}

fn count(value: &Value, range: &RangeInclusive<u64>) -> Option<u64> {
    value.as_integer().and_then(|number| u64::try_from(number).ok()).filter(|number| range.contains(number))
}

/// As many different entries as `fit`: of a list, or, as text of a variable or a `--set`, separated by commas.
fn list<T: Ord>(leaf: &Leaf, fit: RangeInclusive<usize>, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let texts: Vec<&str> = match (&leaf.value, &leaf.raw) {
        (Value::Array(list), _) => list.iter().map(Value::as_str).collect::<Option<_>>()?,
        (_, Some(raw)) => raw.split(',').map(str::trim).collect(),
        _ => return None,
    };
    let entries = texts.into_iter().map(read).collect::<Option<Vec<_>>>()?;
    let distinct = entries.iter().collect::<BTreeSet<_>>().len() == entries.len();
    (fit.contains(&entries.len()) && distinct).then_some(entries)
}

fn address(text: &str) -> Option<String> {
    is_host_and_port(text).then(|| text.to_owned())
}

fn listen_address(text: &str, permitted: bool) -> Option<String> {
    let address: SocketAddr = text.parse().ok()?;
    (permitted || is_loopback(address.ip())).then(|| text.to_owned())
}

fn listen_form(permitted: bool, permit: &str) -> String {
    if permitted { LISTEN.into() } else { format!("{LISTEN} on loopback, or {permit} = true") }
}

fn link_address(text: &str, permitted: bool) -> Option<String> {
    let address = address(text)?;
    let (host, _) = text.rsplit_once(':')?;
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse();
    (permitted || host == "localhost" || ip.is_ok_and(is_loopback)).then_some(address)
}

fn link_form(permitted: bool) -> String {
    if permitted { "host:port".into() } else { format!("host:port on loopback, or {REMOTE_LINKS} = true") }
}

fn legal_default(name: &str) -> NodeName {
    NodeName::new(name).expect("a default is a legal name")
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// A mistaken value as the report repeats it.
pub(super) fn show(value: &Value) -> String {
    let whole = match value {
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    };
    match whole.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{}...", &whole[..cut]),
        None => whole,
    }
}
