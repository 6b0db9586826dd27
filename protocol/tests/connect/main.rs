//! CONNECT against the standards' text, against packets made up at random, and against other people's codecs.

mod bytes;
mod captured;
mod model;
mod oracle;
mod round_trip;
mod vectors;
