//! What follows from each input in each situation, as data. A pair that is not here changes nothing.

use super::*;

/// Acquire: the first step. src: ouroboros-network, `acquireOutboundConnection`
const ACQUIRE: &[Row] = &[
    (&[At::Absent], In::Acquire, Next::Joined, "dial"),
    (&[At::Absent], In::AcquireInbound, Next::Same, "no notfound"),
    (
        &[At::Dialling, At::GreetOut],
        In::Acquire,
        Next::Same,
        "no exists",
    ),
    (
        &[At::Dialling, At::GreetOut],
        In::AcquireInbound,
        Next::Same,
        "no exists",
    ),
    (USED, In::Acquire, Next::Same, "no exists"),
    (USED, In::AcquireInbound, Next::Same, "no exists"),
    (
        &[At::LingerUni, At::LingerDup, At::LingerDupIn],
        In::Acquire,
        Next::Same,
        "no releasing",
    ),
    (
        &[At::LingerUni, At::LingerDup, At::LingerDupIn],
        In::AcquireInbound,
        Next::Same,
        "no releasing",
    ),
    (
        &[At::IdleUni, At::WarmUni, At::HotUni],
        In::Acquire,
        Next::Same,
        "no forbidden",
    ),
    (
        &[At::IdleUni, At::WarmUni, At::HotUni],
        In::AcquireInbound,
        Next::Same,
        "no forbidden",
    ),
    (
        &[At::IdleDup, At::IdleDupOut],
        In::Acquire,
        is(State::OutboundDupTicking, Heat::Idle),
        "reuse",
    ),
    (
        &[At::IdleDup, At::IdleDupOut],
        In::AcquireInbound,
        is(State::OutboundDupTicking, Heat::Idle),
        "reuse",
    ),
    (
        &[At::Warm, At::WarmOut],
        In::Acquire,
        is(State::Duplex, Heat::Warm),
        "reuse",
    ),
    (
        &[At::Warm, At::WarmOut],
        In::AcquireInbound,
        is(State::Duplex, Heat::Warm),
        "reuse",
    ),
    (
        &[At::Hot, At::Both],
        In::Acquire,
        is(State::Duplex, Heat::Hot),
        "reuse",
    ),
    (
        &[At::Hot, At::Both],
        In::AcquireInbound,
        is(State::Duplex, Heat::Hot),
        "reuse",
    ),
    // In the handshake with the peer as client, or remembered: it waits.
];

/// Cancel: a dial and its handshake end; who waits does so no longer.
const CANCEL: &[Row] = &[
    (
        &[At::Dialling, At::GreetOut],
        In::Cancel,
        Next::Gone,
        "close cancelled, no cancelled",
    ),
    (
        &[At::GreetInWaited, At::QuarantineWaited],
        In::Cancel,
        Next::Same,
        "no cancelled",
    ),
];

/// Dialling. src: ouroboros-network, `acquireOutboundConnection`
const DIAL: &[Row] = &[
    (
        &[At::Dialling],
        In::Connected,
        bare(State::UnnegotiatedOutbound),
        "greet",
    ),
    (&[At::Dialling], In::ConnectFailed, Next::Gone, "no connect"),
];

/// Accepting. src: ouroboros-network, `includeInboundConnection`
const ACCEPT: &[Row] = &[
    (
        &[At::Absent, At::Dialling],
        In::Accept,
        Next::Joined,
        "adopt, answer",
    ),
    (
        &[At::GreetIn, At::Refusing],
        In::Accept,
        Next::Succeeded,
        "adopt, answer, close replaced",
    ),
    (
        THEIRS,
        In::Accept,
        Next::Succeeded,
        "adopt, answer, close replaced",
    ),
    (
        &[At::GreetOut],
        In::Accept,
        Next::Succeeded,
        "adopt, answer, close replaced, no replaced",
    ),
    (
        HELD,
        In::Accept,
        Next::Succeeded,
        "adopt, answer, close replaced, demoted",
    ),
    (
        &[At::Quarantine],
        In::Accept,
        Next::Succeeded,
        "adopt, answer",
    ),
    (
        &[At::QuarantineOwed],
        In::Accept,
        Next::Succeeded,
        "adopt, answer, demoted",
    ),
    // Who waited waits for the new one.
    (
        &[At::GreetInWaited],
        In::Accept,
        Next::Succeeded,
        "adopt, answer, close replaced",
    ),
    (
        &[At::QuarantineWaited],
        In::Accept,
        Next::Succeeded,
        "adopt, answer",
    ),
];

/// The end of the handshake. src: ouroboros-network, connection handler
const AGREE: &[Row] = &[
    (
        &[At::GreetOut],
        In::AgreedDuplex,
        is(State::OutboundDupTicking, Heat::Idle),
        "got",
    ),
    (
        &[At::GreetOut],
        In::AgreedOneWay,
        bare(State::OutboundUni),
        "got",
    ),
    (
        &[At::GreetIn],
        In::AgreedDuplex,
        is(State::InboundIdleDup, Heat::Idle),
        "",
    ),
    (
        &[At::GreetIn],
        In::AgreedOneWay,
        is(State::InboundIdleUni, Heat::Idle),
        "",
    ),
    (
        &[At::GreetInWaited],
        In::AgreedDuplex,
        is(State::OutboundDupTicking, Heat::Idle),
        "reuse",
    ),
    (
        &[At::GreetInWaited],
        In::AgreedOneWay,
        is(State::InboundIdleUni, Heat::Idle),
        "no forbidden",
    ),
    // Who waits does so until the peer has read the refusal, then dials.
    (
        &[At::GreetIn, At::GreetInWaited],
        In::Lingering,
        bare(State::Terminating),
        "",
    ),
];

/// The peer's use. src: ouroboros-network, `promotedToWarmRemote`, `demotedToColdRemote`, inbound
/// governor
const PEER: &[Row] = &[
    (
        &[At::IdleUni],
        In::StartWarm,
        is(State::InboundUni, Heat::Warm),
        "",
    ),
    (
        &[At::IdleUni],
        In::StartHot,
        is(State::InboundUni, Heat::Hot),
        "",
    ),
    (
        &[At::IdleDup, At::IdleDupOut],
        In::StartWarm,
        is(State::InboundDup, Heat::Warm),
        "",
    ),
    (
        &[At::IdleDup, At::IdleDupOut],
        In::StartHot,
        is(State::InboundDup, Heat::Hot),
        "",
    ),
    (
        &[At::Tick, At::TickIn, At::Cold, At::ColdIn],
        In::StartWarm,
        is(State::Duplex, Heat::Warm),
        "",
    ),
    (
        &[At::Tick, At::TickIn, At::Cold, At::ColdIn],
        In::StartHot,
        is(State::Duplex, Heat::Hot),
        "",
    ),
    (
        &[At::LingerDup, At::LingerDupIn],
        In::StartWarm,
        is(State::InboundDup, Heat::Warm),
        "demoted",
    ),
    (
        &[At::LingerDup, At::LingerDupIn],
        In::StartHot,
        is(State::InboundDup, Heat::Hot),
        "demoted",
    ),
    (
        &[At::WarmUni],
        In::StartHot,
        is(State::InboundUni, Heat::Hot),
        "",
    ),
    (
        &[At::Warm, At::WarmOut],
        In::StartHot,
        is(State::InboundDup, Heat::Hot),
        "",
    ),
    (
        &[At::DupWarm, At::DupWarmIn],
        In::StartHot,
        is(State::Duplex, Heat::Hot),
        "",
    ),
    (
        &[At::WarmUni],
        In::EndWarm,
        is(State::InboundIdleUni, Heat::Idle),
        "",
    ),
    (
        &[At::HotUni],
        In::EndHot,
        is(State::InboundIdleUni, Heat::Idle),
        "",
    ),
    (
        &[At::Warm, At::WarmOut],
        In::EndWarm,
        is(State::InboundIdleDup, Heat::Idle),
        "",
    ),
    (
        &[At::Hot],
        In::EndHot,
        is(State::InboundIdleDup, Heat::Idle),
        "",
    ),
    (
        &[At::Both],
        In::EndHot,
        is(State::InboundDup, Heat::Warm),
        "",
    ),
    (
        &[At::DupWarm, At::DupWarmIn],
        In::EndWarm,
        is(State::OutboundDupTicking, Heat::Idle),
        "",
    ),
    (
        &[At::DupHot],
        In::EndHot,
        is(State::OutboundDupTicking, Heat::Idle),
        "",
    ),
    (
        &[At::DupBoth],
        In::EndHot,
        is(State::Duplex, Heat::Warm),
        "",
    ),
];

/// Our release. src: ouroboros-network, `releaseOutboundConnection`
const RELEASE: &[Row] = &[
    (&[At::OutUni], In::Release, bare(State::OutboundIdleUni), ""),
    (
        &[At::Cold, At::ColdIn],
        In::Release,
        is(State::OutboundIdleDup, Heat::Cold),
        "",
    ),
    (
        &[At::Tick, At::TickIn],
        In::Release,
        is(State::InboundIdleDup, Heat::Idle),
        "demoted",
    ),
    (
        &[At::DupWarm, At::DupWarmIn],
        In::Release,
        is(State::InboundDup, Heat::Warm),
        "demoted",
    ),
    (
        &[At::DupHot, At::DupBoth],
        In::Release,
        is(State::InboundDup, Heat::Hot),
        "demoted",
    ),
];

/// Time. src: ouroboros-network, `releaseInboundConnection`, outbound idle timeout, time wait
const TIME: &[Row] = &[
    (
        &[At::Tick, At::TickIn],
        In::Due,
        is(State::OutboundDupExpired, Heat::Cold),
        "",
    ),
    (
        &[At::IdleUni, At::IdleDup, At::IdleDupOut],
        In::Due,
        bare(State::Terminating),
        "close idle",
    ),
    (
        &[At::LingerUni, At::LingerDup, At::LingerDupIn],
        In::Due,
        bare(State::Terminating),
        "close released",
    ),
    (&[At::Quarantine], In::Due, Next::Gone, ""),
    (&[At::QuarantineOwed], In::Due, Next::Gone, "demoted"),
    (&[At::QuarantineWaited], In::Due, Next::Succeeded, "dial"),
];

/// The end. src: ouroboros-network, connection handler clean-up
const END: &[Row] = &[
    (
        &[At::GreetOut, At::GreetInWaited],
        In::Ended,
        Next::Gone,
        "no lost",
    ),
    (&[At::GreetIn, At::Refusing], In::Ended, Next::Gone, ""),
    (HELD, In::Ended, Next::Gone, "demoted"),
    (THEIRS, In::Ended, Next::Gone, ""),
    (
        &[At::Dialling, At::GreetOut, At::GreetInWaited],
        In::Abort,
        Next::Gone,
        "close unfinished, no unfinished",
    ),
    (
        &[At::GreetIn, At::Refusing],
        In::Abort,
        Next::Gone,
        "close unfinished",
    ),
    (HELD, In::Abort, Next::Gone, "close unfinished, demoted"),
    (THEIRS, In::Abort, Next::Gone, "close unfinished"),
];

pub(super) const TABLES: [&[Row]; 9] = [
    ACQUIRE, CANCEL, DIAL, ACCEPT, AGREE, PEER, RELEASE, TIME, END,
];
