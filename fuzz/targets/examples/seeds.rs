//! Writes the named target's seeds into a directory, each under its number: `seeds TARGET DIRECTORY`.

use std::{fs, path::Path};

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(target), Some(directory)) = (arguments.next(), arguments.next()) else {
        return Err(std::io::Error::other("seeds TARGET DIRECTORY"));
    };
    for (number, seed) in baton_fuzz_targets::seeds(&target).iter().enumerate() {
        fs::write(Path::new(&directory).join(format!("seed-{number}")), seed)?;
    }
    Ok(())
}
