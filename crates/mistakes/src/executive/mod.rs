//! Mistakes about the executive and the framework: threads, locks, levels, pool, requests.

mod base;
mod callout;
mod deferred;
mod device;
mod events;
mod framework;
mod kernel;
mod levels;
mod locks;
mod platform;
mod pnp;
mod pool;
mod queued;
mod raised;
mod requests;
mod threads;

use crate::Mistake;

/// The tables.
pub const TABLES: [&[Mistake]; 18] = [
    levels::LEVELS,
    locks::LOCKS,
    queued::QUEUED,
    events::EVENTS,
    threads::THREADS,
    deferred::DEFERRED,
    pool::POOL,
    platform::PASSIVE,
    platform::DISPATCH,
    platform::UNLOCKED,
    platform::LOCKED,
    platform::NDIS_READING,
    platform::NDIS,
    platform::NDIS_LOCKED,
    framework::FRAMEWORK,
    callout::CALLOUT,
    pnp::PNP,
    requests::REQUESTS,
];
