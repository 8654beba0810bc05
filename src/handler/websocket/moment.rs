//! The moment at which a tunnel that was given notice is closed: near the deadline, and not that of the others.

use std::{future::pending, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::message::notice::Heed;

/// Tunnels go on for most of the time that a drain has, and end in its last part. A fifth of it leaves them four.
const LAST_PART: u32 = 5;
/// The longest last part. Each client comes back at once, with a TLS handshake and a login: ten thousand of them over
/// 4 s are what two cores can greet. More time would be taken from tunnels that work.
const LONGEST: Duration = Duration::from_secs(5);
/// The end of the last part in which no tunnel begins to end: a Close has to reach the client, and its answer us.
const REPLY: u32 = 5;

/// Ready at the moment of one tunnel, which heeds two notices; gives the deadline by which it has to have ended.
pub(in crate::handler) async fn come(mut process: Heed, mut backend: Heed) -> Instant {
    let luck = fastrand::f64();
    loop {
        let deadlines = [process.deadline(), backend.deadline()];
        let deadline = deadlines.into_iter().flatten().min();
        tokio::select! {
            deadline = wait(deadline, luck) => return deadline,
            () = process.changed() => {}
            () = backend.changed() => {}
        }
    }
}

async fn wait(deadline: Option<Instant>, luck: f64) -> Instant {
    let Some(deadline) = deadline else {
        return pending().await;
    };
    sleep_until(pick(Instant::now(), deadline, luck)).await;
    deadline
}

/// The moment that `luck`, from 0 to 1, picks of the last part of the time from `now` to `deadline`.
fn pick(now: Instant, deadline: Instant, luck: f64) -> Instant {
    let last_part = (deadline.saturating_duration_since(now) / LAST_PART).min(LONGEST);
    let choice = last_part * (REPLY - 1) / REPLY;
    deadline - last_part + choice.mul_f64(luck)
}

#[cfg(test)]
mod tests {
    use crate::message::notice::Notice;

    use super::*;

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn lies_in_the_last_part_and_leaves_time_for_the_reply() {
        let now = Instant::now();
        for (left, first, last) in [(30.0, 25.0, 29.0), (300.0, 295.0, 299.0), (10.0, 8.0, 9.6)] {
            let deadline = now + secs(left);
            assert_eq!(pick(now, deadline, 0.0) - now, secs(first));
            assert_eq!(pick(now, deadline, 1.0) - now, secs(last));
        }
        assert_eq!(pick(now, now, 0.7), now);
        assert_eq!(pick(now + secs(1.0), now, 0.7), now);
    }

    #[tokio::test(start_paused = true)]
    async fn spreads_tunnels_over_the_last_part() {
        let notice = Notice::default();
        let (now, deadline) = (Instant::now(), Instant::now() + secs(30.0));
        notice.set(Some(deadline));
        let quiet = Notice::default();
        let mut tunnels = tokio::task::JoinSet::new();
        for _ in 0..1000 {
            let moment = come(notice.heed(), quiet.heed());
            tunnels.spawn(async move { (moment.await, Instant::now() - now) });
        }
        let mut in_second = [0; 5];
        while let Some(ended) = tunnels.join_next().await {
            let (until, after) = ended.unwrap();
            assert_eq!(until, deadline);
            in_second[usize::try_from(after.as_secs()).unwrap() - 25] += 1;
        }
        // Each of the first four seconds has a quarter of them; 9 standard deviations are allowed.
        for count in &in_second[..4] {
            assert!((125..375).contains(count), "{in_second:?}");
        }
        assert!(in_second[4] <= 1, "{in_second:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn is_that_of_the_earlier_notice_and_none_when_both_are_taken_back() {
        let (process, backend) = (Notice::default(), Notice::default());
        let moment = tokio::spawn(come(process.heed(), backend.heed()));
        let start = Instant::now();
        process.set(Some(start + secs(60.0)));
        process.set(None);
        tokio::time::sleep(secs(100.0)).await;
        assert!(!moment.is_finished());
        let soon = Instant::now() + secs(10.0);
        process.set(Some(Instant::now() + secs(60.0)));
        backend.set(Some(soon));
        assert_eq!(moment.await.unwrap(), soon);
        assert!(Instant::now() < soon);
    }
}
