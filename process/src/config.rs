//! Configuration: one typed view of file, environment and command line, and one report of every mistake in them.
//!
//! `--set` beats the environment, which beats the file, which beats the default. A role reads its section through a
//! [`Reader`], whose getters never fail: they note the mistake and go on with the default, so that one run finds them
//! all. [`Reader::finish`] then says whether what was read may be used. Nothing here touches the world: the texts are
//! arguments ([`Inputs`]).
//!
//! ```
//! use baton_process::config::{Inputs, Reader};
//!
//! let inputs = Inputs { sets: vec!["edge.name=edge-7".into()], ..Inputs::default() };
//! let mut reader = Reader::new(&inputs);
//! let name = reader.node_name("edge.name", "edge-1");
//! reader.finish().expect("no mistake");
//! assert_eq!(name.as_str(), "edge-7");
//! ```

mod reader;
mod report;
mod roles;
mod shared;
mod source;
mod units;

pub use reader::{Home, Reader};
pub use report::{Mistake, Place, Report};
pub use roles::roles_in;
pub use shared::{Admin, Drain, Limits, Log, Shared};
pub use source::Inputs;
pub use units::{duration, show_duration};
