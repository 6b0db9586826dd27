//! Users and fate: counted clients, a ledger, a tier of child processes, faults.
