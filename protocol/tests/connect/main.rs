//! CONNECT against the standards' text, against packets made up at random, and against other people's codecs.

mod agreement;
mod captured;
mod draw;
mod oracle;
mod round_trip;
mod vectors;
