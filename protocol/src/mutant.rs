//! Faults planted on purpose, so that the model check and the simulation can show that they would find them. They exist
//! only in a build with `--cfg mutants`, which only those make; everywhere else [`mutant!`](macro@crate::mutant) is `false`.

/// Whether the named fault is planted.
#[cfg(not(mutants))]
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        false
    };
}

/// Whether the named fault is planted.
#[cfg(mutants)]
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        $crate::mutant::PLANTED.load(std::sync::atomic::Ordering::Relaxed) == $crate::mutant::Mutant::$name as u8
    };
}

/// A fault that can be planted, one line of code each.
#[cfg(mutants)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mutant {
    /// None.
    Sound,
    /// An ack is checked against the resend position rather than the highest ever sent.
    AckCheckedAgainstNxt,
    /// Capsules from a fenced tunnel are applied.
    NoFencing,
    /// Bytes are freed when sent rather than when acknowledged.
    FreeOnSend,
    /// Bytes are acknowledged when they arrive rather than when the local socket took them.
    AckOnReceipt,
    /// A resume must name an offset that wasn't acknowledged since.
    ResumeAtRequestOffset,
    /// A fenced tunnel isn't ended.
    FencedTunnelLeftOpen,
    /// A thawed session goes on with the epochs that its successor may have used.
    ThawKeepsEpoch,
    /// A thawed session keeps a tunnel from which it has lost capsules.
    ThawKeepsTunnel,
    /// An open's first bytes follow it at once, without waiting for the 200.
    BytesBeforeAccepted,
}

#[cfg(mutants)]
impl Mutant {
    /// Every fault, and none.
    pub const ALL: [Self; 10] = [
        Self::Sound,
        Self::AckCheckedAgainstNxt,
        Self::NoFencing,
        Self::FreeOnSend,
        Self::AckOnReceipt,
        Self::ResumeAtRequestOffset,
        Self::FencedTunnelLeftOpen,
        Self::ThawKeepsEpoch,
        Self::ThawKeepsTunnel,
        Self::BytesBeforeAccepted,
    ];
}

/// The fault planted in this process.
#[cfg(mutants)]
pub static PLANTED: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);
