//! What a measurement comes to: for people, and for programs.

use std::{fs, io, path::Path};

use serde_json::{Value, json};

/// Values with names and units, in the order in which they are shown.
#[derive(Debug)]
pub(crate) struct Report {
    bench: &'static str,
    values: Vec<(String, f64, &'static str)>,
    series: Vec<(String, Vec<u32>)>,
    faults: Vec<String>,
}

impl Report {
    /// An empty one of this bench.
    pub(crate) fn new(bench: &'static str) -> Self {
        Self { bench, values: Vec::new(), series: Vec::new(), faults: Vec::new() }
    }

    pub(crate) fn put(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.values.push((name.into(), value, unit));
    }

    /// A value for each tick, which programs get and people don't.
    pub(crate) fn series(&mut self, name: &str, values: Vec<u32>) {
        self.series.push((name.to_owned(), values));
    }

    /// Why nothing is to be concluded from it.
    pub(crate) fn faults(&mut self, faults: &[String]) {
        self.faults.extend_from_slice(faults);
    }

    /// Prints it, and writes it for programs where that is wanted. An invalid one is an error.
    pub(crate) fn finish(self, machine: &[String], to: Option<&Path>) -> io::Result<()> {
        println!();
        let widest = self.values.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
        for (name, value, unit) in &self.values {
            println!("{}", format!("{name:widest$}  {:>12}  {unit}", shown(*value)).trim_end());
        }
        if let Some(path) = to {
            let text = format!("{:#}\n", self.json(machine));
            fs::write(path, text)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        }
        if self.faults.is_empty() {
            Ok(())
        } else {
            Err(io::Error::other(format!("NOT VALID: {}", self.faults.join("; "))))
        }
    }

    fn json(&self, machine: &[String]) -> Value {
        let values = self.values.iter().map(|(name, value, unit)| json!({"name": name, "value": value, "unit": unit}));
        let series = self.series.iter().map(|(name, values)| json!({"name": name, "values": values}));
        json!({
            "bench": self.bench,
            "machine": machine,
            "valid": self.faults.is_empty(),
            "faults": self.faults,
            "values": values.collect::<Vec<_>>(),
            "series": series.collect::<Vec<_>>(),
        })
    }
}

/// Three digits that tell something, or all of a whole number.
fn shown(value: f64) -> String {
    let magnitude = value.abs();
    if value.fract() == 0.0 || magnitude >= 1_000.0 {
        format!("{value:.0}")
    } else if magnitude >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_they_tell() {
        let all = [0.0, 3.0, 0.456, 9.99, 12.34, 999.96, 1234.5, 1e6].map(shown);
        assert_eq!(all, ["0", "3", "0.46", "9.99", "12.3", "1000.0", "1234", "1000000"]);
    }

    #[test]
    fn programs_get_what_people_get() {
        let mut report = Report::new("latency");
        report.put("p50", 0.5, "ms");
        report.series("deliveries", vec![1, 2]);
        report.faults(&["late".to_owned()]);
        let json = report.json(&["a machine".to_owned()]);
        assert_eq!(
            (&json["bench"], &json["valid"], &json["values"][0]["value"]),
            (&json!("latency"), &json!(false), &json!(0.5))
        );
        assert_eq!(json["series"][0]["values"], json!([1, 2]));
        assert_eq!(report.finish(&[], None).unwrap_err().to_string(), "NOT VALID: late");
    }
}
