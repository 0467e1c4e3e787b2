//! The built-in chain: as long as wanted, the same for the same seed everywhere.
//!
//! Block numbers begin at 0 without a parent. Slots rise by 1 to [`Recipe::gap_max`], bodies have
//! [`Recipe::body_min`] to [`Recipe::body_max`] bytes, all drawn from one `ChaCha8` stream.

use std::ops::RangeInclusive;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use samanea_core::base::{Hash32, HeaderView, Point};

use crate::{
    Block,
    rules::{blake2b, local},
};

/// What a generated chain looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Recipe {
    /// Decides every draw.
    pub seed: u64,
    /// How many blocks there are.
    pub blocks: u64,
    /// The smallest body in bytes, inclusive.
    pub body_min: u32,
    /// The largest body in bytes, inclusive; not below the smallest.
    pub body_max: u32,
    /// The widest distance between the slots of neighbours, inclusive; at least 1.
    pub gap_max: u32,
    /// Padding of each header in bytes, to give headers a realistic size.
    pub padding: usize,
}

impl Default for Recipe {
    /// 1,000 blocks of 0.5 to 24 KiB, on average 20 slots apart, with headers of about 860 bytes.
    /// src: Cardano mainnet, one block in 20 slots, headers of about 860 bytes since Babbage
    fn default() -> Self {
        Self {
            seed: 1,
            blocks: 1_000,
            body_min: 512,
            body_max: 24 * 1_024,
            gap_max: 39,
            padding: 770,
        }
    }
}

impl Recipe {
    /// The chain, one block after the other, from the first.
    pub fn chain(&self) -> Chain {
        Chain {
            recipe: *self,
            rng: ChaCha8Rng::seed_from_u64(self.seed),
            last: None,
        }
    }
}

/// A generated chain; ends after [`Recipe::blocks`] blocks.
#[derive(Clone, Debug)]
pub struct Chain {
    recipe: Recipe,
    rng: ChaCha8Rng,
    last: Option<HeaderView>,
}

impl Iterator for Chain {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        let (block_no, slot, prev) = match &self.last {
            None => (0, 0, None),
            Some(last) => (
                last.block_no.checked_add(1)?,
                last.point.slot().unwrap_or(0),
                last.point.hash(),
            ),
        };
        if block_no >= self.recipe.blocks {
            return None;
        }
        let gap = draw(&mut self.rng, 1..=self.recipe.gap_max);
        let slot = slot.checked_add(u64::from(gap))?;
        let size = draw(&mut self.rng, self.recipe.body_min..=self.recipe.body_max);
        let mut body = vec![0; usize::try_from(size).ok()?];
        self.rng.fill_bytes(&mut body);
        let header = local::Header {
            block_no,
            slot,
            prev,
            body_hash: blake2b(&[&body]),
            body_bytes: size,
            padding: &vec![0; self.recipe.padding],
        }
        .to_bytes();
        let hash: Hash32 = blake2b(&[&header]);
        let view = HeaderView {
            point: Point::Block { slot, hash },
            block_no,
            prev,
            boundary: false,
            body_bytes: size,
        };
        self.last = Some(view);
        Some(Block {
            view,
            header: local::wrap(&header),
            body: local::block(&header, &body),
        })
    }
}

/// A number in the range; the slight bias of the remainder does not matter here.
fn draw(rng: &mut ChaCha8Rng, range: RangeInclusive<u32>) -> u32 {
    let span = range.end().saturating_sub(*range.start()).saturating_add(1);
    range.start() + rng.next_u32() % span.max(1)
}

#[cfg(test)]
mod tests {
    use samanea_core::base::Rules;

    use super::*;
    use crate::rules::{BlockFault, Eras, check_block, wrapped_header};

    #[test]
    fn the_rules_read_what_is_generated() {
        let mut prev = None;
        let mut slot = 0;
        let mut seen = 0;
        let recipe = Recipe {
            blocks: 50,
            ..Recipe::default()
        };
        for block in recipe.chain() {
            assert_eq!(Eras.header(&block.header), Ok(block.view));
            assert_eq!(block.view.prev, prev);
            assert!(block.view.point.slot().unwrap() > slot);
            assert_eq!(check_block(&block.view, &block.body), Ok(()));
            assert_eq!(wrapped_header(&block.body), Some(block.header.clone()));
            prev = block.view.point.hash();
            slot = block.view.point.slot().unwrap();
            seen += 1;
        }
        assert_eq!(seen, 50);
    }

    #[test]
    fn a_seed_decides_the_whole_chain() {
        let chain = |seed| {
            let recipe = Recipe {
                seed,
                blocks: 5,
                padding: 0,
                ..Recipe::default()
            };
            recipe.chain().collect::<Vec<_>>()
        };
        assert_eq!(chain(3), chain(3));
        assert_ne!(chain(3), chain(4));
        let tip = chain(3).last().unwrap().view.point;
        assert_eq!(
            tip.to_string(),
            "116.b07cdf06c17b8a0b3b6d44ad8e138d7f201febf2cf551d2b5b9eb6503dcd8432"
        );
    }

    #[test]
    fn a_touched_block_is_found_out() {
        let block = Recipe::default().chain().next().unwrap();
        let other = Recipe::default().chain().nth(1).unwrap();
        let mut touched = block.body.to_vec();
        *touched.last_mut().unwrap() ^= 1;
        assert_eq!(
            check_block(&block.view, &touched),
            Err(BlockFault::BodyHash)
        );
        assert!(matches!(
            check_block(&block.view, &other.body),
            Err(BlockFault::OtherHeader { .. })
        ));
        assert_eq!(
            check_block(&block.view, &block.body[..block.body.len() - 1]),
            Err(BlockFault::Malformed)
        );
    }
}
