//! What one query may take of the whole.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{Holder, MemoryBudget, MemoryRefused, Reservation};
use crate::ByteSize;

/// What a query asks for before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareTerms {
    /// Taken at once, and kept until [`MemoryBudget::end_share`]: what it is thought to need.
    pub ahead: u64,
    /// It may take no more.
    pub most: u64,
    /// Whether it may give an answer without what does not fit: it will not get more by waiting.
    pub last_resort: bool,
}

pub(super) struct Share {
    whole: Arc<MemoryBudget>,
    account: Mutex<Account>,
    last_resort: bool,
    revoked: AtomicBool,
    too_small: AtomicBool,
}

/// What a share has of the whole, and how much of that is in use.
struct Account {
    held: Reservation,
    used: u64,
    most_used: u64,
    ahead: u64,
}

impl Share {
    pub(super) fn whole(&self) -> &Arc<MemoryBudget> {
        &self.whole
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryBudget {
    /// A share of this budget for one query.
    ///
    /// # Errors
    /// [`MemoryRefused`] when there is no room for what is wanted ahead.
    pub fn share(self: &Arc<Self>, terms: ShareTerms) -> Result<Arc<Self>, MemoryRefused> {
        let ShareTerms { ahead, most, last_resort } = terms;
        let ahead = ahead.min(most);
        let held = self.reserve(Holder::Query, ahead)?;
        let share = Share {
            whole: Arc::clone(self),
            account: Mutex::new(Account { held, used: 0, most_used: 0, ahead }),
            last_resort,
            revoked: AtomicBool::new(false),
            too_small: AtomicBool::new(false),
        };
        let share = Arc::new(Self::of(ByteSize::from_bytes(most), Some(share), None));
        let mut shares = self.lock_shares();
        shares.retain(|share| share.strong_count() > 0);
        shares.push(Arc::downgrade(&share));
        Ok(share)
    }

    /// Gives back what was taken ahead; what is still in use stays until it is dropped.
    pub fn end_share(&self) {
        let Some(share) = &self.share else { return };
        let mut account = share.lock();
        account.ahead = 0;
        account.settle();
    }

    /// Whether who takes of this budget may answer without what does not fit; see [`ShareTerms::last_resort`].
    pub fn is_last_resort(&self) -> bool {
        self.share.as_ref().is_none_or(|share| share.last_resort)
    }

    /// Whether a reservation was refused because the share is too small, or was taken back for being the largest:
    /// waiting for others does not help.
    pub fn share_was_too_small(&self) -> bool {
        self.share.as_ref().is_some_and(|share| share.too_small.load(Ordering::Relaxed))
    }

    /// The most that was in use at a time.
    pub fn most_used(&self) -> ByteSize {
        let most = self.share.as_ref().map(|share| share.lock().most_used);
        ByteSize::from_bytes(most.unwrap_or_default())
    }

    /// From now on nothing more can be taken of this share.
    fn revoke(&self) {
        if let Some(share) = &self.share {
            share.revoked.store(true, Ordering::Relaxed);
            share.too_small.store(true, Ordering::Relaxed);
        }
    }

    /// Ends the largest share, if it is larger than `than` bytes; one of last resort only when there is no other way.
    pub(super) fn revoke_largest(&self, than: u64, desperate: bool) -> bool {
        let shares: Vec<_> = self.lock_shares().iter().filter_map(Weak::upgrade).collect();
        let revocable = |budget: &&Arc<MemoryBudget>| {
            let is_last = budget.share.as_ref().is_some_and(|share| share.last_resort);
            (desperate || !is_last) && budget.reserved().bytes() > than
        };
        let largest = shares.iter().filter(revocable).max_by_key(|budget| budget.reserved());
        if let Some(largest) = largest {
            largest.revoke();
        }
        largest.is_some()
    }

    pub(super) fn take_of_share(&self, share: &Share, bytes: u64) -> Result<(), MemoryRefused> {
        let limit = self.limit().bytes();
        let mut account = share.lock();
        let wanted = account.used.saturating_add(bytes);
        let revoked = share.revoked.load(Ordering::Relaxed);
        if bytes > 0 && (wanted > limit || revoked) {
            share.too_small.store(true, Ordering::Relaxed);
            let available = if revoked { 0 } else { limit.saturating_sub(account.used) };
            return Err(MemoryRefused {
                holder: Holder::Query,
                requested: ByteSize::from_bytes(bytes),
                available: ByteSize::from_bytes(available),
                limit: self.limit(),
            });
        }
        if wanted > account.held.bytes()
            && let Err(refused) = account.held.resize(wanted)
        {
            // A query that has much more than this one gives way to it, for good.
            share.whole.revoke_largest(wanted.saturating_mul(2), false);
            return Err(refused);
        }
        account.used = wanted;
        account.most_used = account.most_used.max(wanted);
        self.total.store(wanted, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn give_back_to_share(&self, share: &Share, bytes: u64) {
        let mut account = share.lock();
        account.used -= bytes;
        account.settle();
        self.total.store(account.used, Ordering::Relaxed);
    }
}

impl Account {
    /// Gives back what is not needed.
    fn settle(&mut self) {
        let needed = self.used.max(self.ahead);
        if needed < self.held.bytes() {
            // Cannot be refused: it shrinks.
            let _ = self.held.resize(needed);
        }
    }
}
