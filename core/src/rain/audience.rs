//! Whom a message is for, and how it gets to them.
//!
//! | [`Audience`] | group | on to | how |
//! |---|---|---|---|
//! | [`Group`](Audience::Group) | the one named | – | as the options say |
//! | [`Transactions`](Audience::Transactions) | validators | – | a servicer hands it in at 3 members; more than 16 KiB is offered before it is sent |
//! | [`TransactionsToAll`](Audience::TransactionsToAll) | all staked | – | over the tree |
//! | [`Consensus`](Audience::Consensus) | validators | – | among up to 32 to each itself, else over the tree; before all other payloads; forgotten after the round |
//! | [`Block`](Audience::Block) | validators | all other staked | over the bridge |
//! | [`BlockToArchive`](Audience::BlockToArchive) | validators | all other staked, archival nodes without a stake | over the bridge |
//! | [`Announcement`](Audience::Announcement) | archival nodes | – | a validator hands it in at 3 members |
//!
//! # The bridge
//!
//! A message that goes on is published to its first group as any other is: who is in the next one
//! slows nobody in the first. With it travels, signed by the origin and a part of the id, all that
//! makes the same payload a message of the next group: its number there and the signature over its
//! id there. Five members of the first group, the *bridge*, hand it in at five members of the
//! next, each at another: so those outside get one message with one id over five disjoint arcs, and
//! not five messages.
//!
//! The bridge is the origin and four more, which follow from the id of the message: every member
//! computes the same. A bridge member that is dead leaves its arc without the tree; those who got
//! the message over another arc bring it there by their clean-up chains. One live bridge member is
//! enough.
//! deviates: others choose all five by the hash. The origin is one of ours, so that whenever it
//! lives to see its message spread, somebody lives who hands it in; five of a hundred chosen by
//! hash, of whom half are dead, are all dead three times in a hundred.
//!
//! # Who is told what
//!
//! Whoever hands messages in must know the views of both groups, and so must whoever takes them:
//! the members of the next group look up that it was a member of the first who handed it in. To
//! know a view is not to be in it: who is not in a group never receives, holds or forwards its
//! messages, but for those who hand one in, until it is taken.
//!
//! # Archival nodes
//!
//! They are told by small announcements, say the point of a block, and fetch the bodies they lack
//! from whom they come: the application gets a [`Delivery`](super::Delivery) and asks by
//! block-fetch. An announcement that is missed is found by the digests of the group.
//!
//! src: pokt-network/pocket-network-protocol, peer-to-peer specification, for whom messages are;
//! the bridge is ours

use alloc::{boxed::Box, vec, vec::Vec};
use core::time::Duration;

use super::{MessageClass, Options, Redundancy, config::Door};
use crate::base::{Actor, GroupId};

/// At how many members a message that was published outside of a group enters it.
const ENTRIES: u32 = 3;
/// The members of a bridge.
const BRIDGE: u32 = 5;

/// Whom a message is for. See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Audience {
    /// The members of a group, of which this node is one, or into which it has a
    /// [door](super::Config::doors).
    Group {
        /// Which.
        group: GroupId,
        /// How.
        options: Options,
    },
    /// Those who put transactions into blocks: the validators.
    Transactions,
    /// Everybody with a stake.
    TransactionsToAll,
    /// Validators among themselves.
    Consensus {
        /// How long a round takes: the message means nothing after it.
        round: Duration,
    },
    /// A block: validators, then everybody else with a stake.
    Block,
    /// A block: validators, then everybody else with a stake and the archival nodes.
    BlockToArchive,
    /// That there is a block: archival nodes.
    Announcement,
}

/// What an audience means. See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "all that there is to say")]
pub struct Route {
    /// Where it is published.
    pub group: GroupId,
    /// How.
    pub options: Options,
    /// Whether one who is not a member may publish.
    pub outside: Outside,
    /// Where it goes on to, at most [`ONWARD_MAX`](crate::proto::rain_link::ONWARD_MAX) groups.
    pub onward: Vec<GroupId>,
}

/// What becomes of a message that one who is not a member publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are two")]
pub enum Outside {
    /// It is refused.
    Refused,
    /// It is handed in where there is a [door](super::Config::doors).
    HandedIn,
}

impl Route {
    /// To one group.
    pub const fn to(group: GroupId, options: Options) -> Self {
        Self {
            group,
            options,
            outside: Outside::HandedIn,
            onward: Vec::new(),
        }
    }
}

impl Audience {
    /// Where it is published and how.
    pub fn route(&self) -> Route {
        let plain = Options::default();
        match self {
            Self::Group { group, options } => Route::to(group.clone(), *options),
            Self::Transactions => Route::to(validators(), plain),
            Self::TransactionsToAll => Route {
                outside: Outside::Refused,
                ..Route::to(GroupId::AllStaked, plain)
            },
            Self::Consensus { round } => Route {
                outside: Outside::Refused,
                ..Route::to(validators(), consensus(*round))
            },
            Self::Block => block(vec![others()]),
            Self::BlockToArchive => block(vec![others(), archive()]),
            Self::Announcement => Route::to(GroupId::Role(Actor::Archival), plain),
        }
    }
}

fn block(onward: Vec<GroupId>) -> Route {
    Route {
        outside: Outside::Refused,
        onward,
        ..Route::to(validators(), Options::default())
    }
}

/// Nothing beside the tree and the chains.
const fn consensus(round: Duration) -> Options {
    Options {
        class: MessageClass::Consensus,
        redundancy: Some(Redundancy::None),
        critical: false,
        byzantine: false,
        life: Some(round),
    }
}

/// The validators.
pub const fn validators() -> GroupId {
    GroupId::Role(Actor::Validator)
}

/// Everybody with a stake who is no validator.
pub fn others() -> GroupId {
    GroupId::Minus(Box::new((GroupId::AllStaked, validators())))
}

/// The archival nodes without a stake.
pub fn archive() -> GroupId {
    GroupId::Minus(Box::new((
        GroupId::Role(Actor::Archival),
        GroupId::AllStaked,
    )))
}

/// The doors that these audiences need.
pub(super) fn doors() -> Vec<Door> {
    let door = |from, into, entries| Door {
        from,
        into,
        entries,
    };
    vec![
        door(GroupId::Role(Actor::Servicer), validators(), ENTRIES),
        door(validators(), others(), BRIDGE),
        door(validators(), archive(), BRIDGE),
        door(validators(), GroupId::Role(Actor::Archival), ENTRIES),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_goes_on_has_a_door_of_five_and_is_in_no_group_twice() {
        let doors = doors();
        let mut onward = 0;
        for audience in [Audience::Block, Audience::BlockToArchive] {
            let route = audience.route();
            assert_eq!(route.outside, Outside::Refused);
            for into in &route.onward {
                let mut doors = doors.iter();
                let found = doors.find(|door| door.from == route.group && door.into == *into);
                assert_eq!(found.map(|door| door.entries), Some(BRIDGE));
                // Disjoint by construction: none of the first group is in it.
                assert!(matches!(into, GroupId::Minus(_)), "{into}");
                onward += 1;
            }
        }
        assert_eq!(onward, 3);
    }

    #[test]
    fn only_transactions_and_announcements_come_from_outside() {
        let round = Duration::from_secs(1);
        let all = [
            (Audience::Transactions, Outside::HandedIn),
            (Audience::TransactionsToAll, Outside::Refused),
            (Audience::Consensus { round }, Outside::Refused),
            (Audience::Announcement, Outside::HandedIn),
        ];
        for (audience, outside) in all {
            assert_eq!(audience.route().outside, outside, "{audience:?}");
        }
    }
}
