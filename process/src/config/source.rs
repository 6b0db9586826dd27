//! Where configuration comes from, and how the sources become one: flat, each value with its place.

use std::collections::BTreeMap;

use toml::{Table, Value, de::DeTable};

use super::{
    reader::show,
    report::{Mistake, Place},
};

/// The texts that make up a configuration, in rising precedence. Plain data, so a test can make one up.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// A file's name and its text.
    pub file: Option<(String, String)>,
    /// The environment. Only `BATON_SECTION__KEY` is looked at: one with no `__` is no key of ours.
    pub variables: Vec<(String, String)>,
    /// The `KEY=VALUE` of each `--set`.
    pub sets: Vec<String>,
    /// Flags that stand for a key, such as `--broker`, each with its `KEY=VALUE`.
    pub flags: Vec<(String, String)>,
}

/// A key, in parts: a home's name may hold a dot.
pub(super) type Path = Vec<String>;

/// A value that isn't a table.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) value: Value,
    pub(super) place: Place,
    /// The text as given in the environment or by `--set`, where quotes are left out: `7` may be meant as a name.
    pub(super) raw: Option<String>,
}

/// All values, by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Values {
    leaves: BTreeMap<Path, Leaf>,
}

/// Prefix of the environment variables that are read.
const PREFIX: &str = "BATON_";

impl Values {
    /// Merges the inputs; what can't be read as TOML at all becomes a mistake.
    pub(super) fn merge(inputs: &Inputs, mistakes: &mut Vec<Mistake>) -> Self {
        let mut values = Self::default();
        if let Some((name, text)) = &inputs.file {
            values.add_file(name, text, mistakes);
        }
        for (name, text) in &inputs.variables {
            if let Some(key) = name.strip_prefix(PREFIX).filter(|key| key.contains("__")) {
                let path = key.split("__").map(str::to_ascii_lowercase).collect();
                values.add_text(path, text, &Place::Variable(name.clone()));
            }
        }
        let flags = inputs.flags.iter().map(|(flag, set)| (Place::Flag(flag.clone()), set));
        for (place, set) in inputs.sets.iter().map(|set| (Place::Set, set)).chain(flags) {
            match set.split_once('=').and_then(|(key, value)| Some((key_path(key.trim())?, value))) {
                Some((path, value)) => values.add_text(path, value.trim(), &place),
                None => mistakes.push(Mistake {
                    place,
                    key: String::new(),
                    expected: "KEY=VALUE with a dotted key".into(),
                    got: format!("{set:?}"),
                }),
            }
        }
        values
    }

    pub(super) fn get(&self, path: &[String]) -> Option<&Leaf> {
        self.leaves.get(path)
    }

    /// The values at `path` and below it.
    pub(super) fn under<'a>(&'a self, path: &'a [String]) -> impl Iterator<Item = (&'a Path, &'a Leaf)> {
        self.leaves.range(path.to_vec()..).take_while(move |(key, _)| key.starts_with(path))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Path, &Leaf)> {
        self.leaves.iter()
    }

    fn add_file(&mut self, name: &str, text: &str, mistakes: &mut Vec<Mistake>) {
        let before = |offset: usize| text.get(..offset).unwrap_or(text);
        let line = |offset| before(offset).matches('\n').count() + 1;
        let place = |offset| Place::File { name: name.into(), line: line(offset), column: None };
        let error = match (DeTable::parse(text), text.parse::<Table>()) {
            (Ok(parsed), Ok(table)) => {
                let mut offsets = BTreeMap::new();
                offsets_of(parsed.get_ref(), &mut Path::new(), &mut offsets);
                self.add_table(&mut Path::new(), table, &|path| place(offsets.get(path).copied().unwrap_or_default()));
                return;
            }
            (Err(error), _) | (_, Err(error)) => error,
        };
        let offset = error.span().map_or(0, |span| span.start);
        let begin = before(offset).rfind('\n').map_or(0, |newline| newline + 1);
        let column = before(offset)[begin..].chars().count() + 1;
        let whole = text[begin..].lines().next().unwrap_or_default();
        mistakes.push(Mistake {
            place: Place::File { name: name.into(), line: line(offset), column: Some(column) },
            key: String::new(),
            expected: "TOML".into(),
            got: format!("{}: {}", show(&Value::String(whole.into())), error.message()),
        });
    }

    fn add_table(&mut self, path: &mut Path, table: Table, place: &dyn Fn(&Path) -> Place) {
        for (key, value) in table {
            path.push(key);
            match value {
                Value::Table(inner) => self.add_table(path, inner, place),
                value => self.put(path.clone(), Leaf { value, place: place(path), raw: None }),
            }
            path.pop();
        }
    }

    fn add_text(&mut self, mut path: Path, text: &str, place: &Place) {
        match text.parse::<Value>() {
            Ok(Value::Table(table)) => self.add_table(&mut path, table, &|_| place.clone()),
            parsed => {
                let value = parsed.unwrap_or_else(|_| Value::String(text.into()));
                self.put(path, Leaf { value, place: place.clone(), raw: Some(text.into()) });
            }
        }
    }

    /// A later value replaces what stood at its key, above or below it.
    fn put(&mut self, path: Path, leaf: Leaf) {
        self.leaves.retain(|key, _| !key.starts_with(&path) && !path.starts_with(key));
        self.leaves.insert(path, leaf);
    }
}

fn offsets_of(table: &DeTable<'_>, path: &mut Path, offsets: &mut BTreeMap<Path, usize>) {
    for (key, value) in table.iter() {
        path.push(key.get_ref().to_string());
        match value.get_ref().as_table() {
            Some(inner) => offsets_of(inner, path, offsets),
            None => {
                offsets.insert(path.clone(), key.span().start);
            }
        }
        path.pop();
    }
}

/// A dotted key the way TOML reads one, quotes included.
fn key_path(key: &str) -> Option<Path> {
    if key.contains(['\n', '=', '#']) {
        return None;
    }
    let mut table = format!("{key} = 0").parse::<Table>().ok()?;
    let mut path = Path::new();
    loop {
        let (name, value) = table.into_iter().next()?;
        path.push(name);
        match value {
            Value::Table(inner) => table = inner,
            _ => return Some(path),
        }
    }
}
