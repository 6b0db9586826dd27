//! Users and fate: counted clients, a ledger, a tier of child processes, faults.

pub mod bytes;
pub mod client;
pub mod ledger;
pub mod load;
pub mod mqtt;
pub mod proc;
pub mod proxy;
pub mod stage;
pub mod stamp;
pub mod tier;
