//! Requests and calls that must be answered correctly and in time, whatever else comes.

use std::time::{Duration, Instant};

use harness::{Request, Uac, patience};

use super::stage::Stage;

/// A caller who checks each answer.
pub struct Canary {
    uac: Uac,
    /// Answered requests.
    pub requests: u64,
    /// Whole calls, from INVITE to the answer to BYE.
    pub calls: u64,
    /// The longest time that one took.
    pub slowest: Duration,
}

impl Default for Canary {
    fn default() -> Self {
        Self {
            uac: Uac::new(),
            requests: 0,
            calls: 0,
            slowest: Duration::ZERO,
        }
    }
}

impl Canary {
    /// Sends a request. The error says what is wrong with the answer.
    pub fn request(&mut self, stage: &Stage) -> Result<(), String> {
        let request =
            Request::new("OPTIONS", "sip:canary@canary.test").from("sip:canary@canary.test");
        let start = Instant::now();
        let reply = self
            .uac
            .try_request(stage.server.addr(), &request, patience(10))
            .ok_or("no answer to a canary")?;
        self.slowest = self.slowest.max(start.elapsed());
        let wanted = (Some(200), "1".to_owned(), stage.canary.uri());
        let got = (reply.status(), reply.text("X-Rc"), reply.text("X-Du"));
        if got != wanted {
            return Err(format!("a canary got {got:?}, not {wanted:?}"));
        }
        self.requests += 1;
        Ok(())
    }

    /// Makes a call. The error says what is wrong with it.
    pub fn call(&mut self, stage: &Stage) -> Result<(), String> {
        let invite =
            Request::new("INVITE", "sip:canary@canary.test").from("sip:canary@canary.test");
        let start = Instant::now();
        let call = self.uac.call(stage.server.addr(), invite);
        let call = call.map_err(|reply| format!("a canary's INVITE got {}", reply.start))?;
        if format!("sip:{}", call.answered_by()) != stage.canary.uri() {
            return Err(format!("a canary's call went to {}", call.answered_by()));
        }
        let reply = call.bye();
        if reply.status() != Some(200) {
            return Err(format!("a canary's BYE got {}", reply.start));
        }
        self.slowest = self.slowest.max(start.elapsed());
        self.calls += 1;
        Ok(())
    }
}
