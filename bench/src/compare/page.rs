//! All of it as a page, with plots.

use std::path::Path;

use super::{Options, loads::Loads, rest::Rest};
use crate::figure::Figure;

pub(super) fn write(
    _directory: &Path,
    _loads: &Loads,
    _rest: &Rest,
    _figures: &[Figure],
    _options: &Options,
) -> std::io::Result<()> {
    Ok(())
}
