//! What is to be done as soon as the thread that polls a task holds no locks any more, but before anybody can see that its
//! system call has ended: Linux's task_work, of which only signals by O_ASYNC are of this kind here.

use std::cell::RefCell;
use std::sync::Arc;

use super::wait::Notify;

thread_local! {
    /// What this thread has to do; `None` if it polls nothing, and never comes to [`settle`].
    static OWED: RefCell<Option<Vec<Arc<dyn Notify>>>> = const { RefCell::new(None) };
}

/// From now on this thread comes to [`settle`] before it sleeps or ends.
pub(super) fn begin() {
    OWED.with_borrow_mut(|owed| _ = owed.get_or_insert_default());
}

/// Has `notify` called once by this thread. False on a thread that polls nothing.
pub fn defer(notify: Arc<dyn Notify>) -> bool {
    OWED.with_borrow_mut(|owed| {
        let Some(owed) = owed else { return false };
        if !owed.iter().any(|other| Arc::ptr_eq(other, &notify)) {
            owed.push(notify);
        }
        true
    })
}

/// Does what this thread owes. It holds no locks.
pub fn settle() {
    // What is done may make something else due.
    loop {
        let due = OWED.with_borrow_mut(|owed| owed.as_mut().map(std::mem::take).unwrap_or_default());
        if due.is_empty() {
            return;
        }
        crate::sync::assert_no_locks();
        for notify in due {
            notify.notify();
        }
    }
}
