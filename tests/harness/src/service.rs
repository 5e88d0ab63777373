//! A thread that serves a socket, and what it knows, which the test looks at and changes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// The thread. Dropping it ends the thread after its turn.
pub struct Service<T> {
    known: Arc<Mutex<T>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Default + Send + 'static> Service<T> {
    /// Starts the thread, which calls `turn` again and again. A turn waits 100 ms at most.
    pub fn start(mut turn: impl FnMut(&Mutex<T>) + Send + 'static) -> Self {
        let known = Arc::new(Mutex::new(T::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (Arc::clone(&known), Arc::clone(&stop));
        let serve = move || {
            while !stopped.load(Ordering::Relaxed) {
                turn(&shared);
            }
        };
        Self {
            known,
            stop,
            thread: Some(std::thread::spawn(serve)),
        }
    }
}

impl<T> Service<T> {
    /// Returns what the thread knows, locked.
    pub fn known(&self) -> MutexGuard<'_, T> {
        self.known.lock().unwrap()
    }
}

impl<T> Drop for Service<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
