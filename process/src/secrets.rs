//! Bytes that nobody may guess.

use baton_protocol::id::{SessionKey, UserId};
use rand::{
    Rng, SeedableRng, TryRng,
    rngs::{StdRng, SysRng},
};

/// Where session keys come from: the kernel, or, in a simulation, a seed.
#[derive(Debug)]
pub struct Secrets {
    source: Source,
}

#[derive(Debug)]
enum Source {
    Kernel,
    Seed(Box<StdRng>),
}

impl Secrets {
    /// The kernel's generator.
    pub fn of_the_kernel() -> Self {
        Self { source: Source::Kernel }
    }

    /// The same bytes for the same seed: for simulations only.
    pub fn of_a_seed(seed: u64) -> Self {
        Self { source: Source::Seed(Box::new(StdRng::seed_from_u64(seed))) }
    }

    /// A fresh session key.
    pub fn session_key(&mut self) -> SessionKey {
        SessionKey::from_bytes(self.bytes())
    }

    /// A fresh name for a client that names itself in no way.
    pub fn anonymous(&mut self) -> UserId {
        UserId::anonymous(u128::from_le_bytes(self.bytes()))
    }

    /// A fresh number, to seed a generator or to tell one start of a process from another.
    pub fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        match &mut self.source {
            Source::Kernel => {
                SysRng.try_fill_bytes(&mut bytes).expect("the kernel's generator works once it has booted")
            }
            Source::Seed(generator) => generator.fill_bytes(&mut bytes),
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_a_seed_repeats_them() {
        let (mut one, mut other) = (Secrets::of_a_seed(7), Secrets::of_a_seed(7));
        assert_eq!(one.session_key(), other.session_key());
        assert_ne!(one.session_key(), one.session_key());
        let mut kernel = Secrets::of_the_kernel();
        assert_ne!(kernel.session_key(), kernel.session_key());
    }
}
