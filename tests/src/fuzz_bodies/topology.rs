//! What an operator writes down: any bytes are read or refused, and what was read survives being
//! written.

use std::path::Path;

use samanea_core::governor::Topology;
use samanea_std::topology::{self, WARNINGS_MAX, Warning, configuration, snapshot};

const NAME: &str = "fuzz.json";

/// Reads the bytes as a topology, a snapshot (both forms) and a configuration.
///
/// Laws: nothing panics; limits hold; what is accepted is written so that it reads the same, in
/// the current format and without a difference; targets that are accepted are sane.
///
/// # Panics
///
/// Panics when a law does not hold.
pub fn topology(bytes: &[u8]) {
    let name = Path::new(NAME);
    if let Ok(read) = topology::parse(name, bytes) {
        few(&read.warnings);
        let points = points(&read.topology);
        assert!(points <= Topology::ACCESS_POINTS_MAX, "{points} points");
        let text = topology::to_json(&read.topology, read.snapshot.as_deref());
        let again = again(topology::parse(name, text.as_bytes()), &text);
        assert_eq!(again.topology, read.topology, "{text}");
        assert_eq!(again.snapshot, read.snapshot, "{text}");
        assert_eq!(topology::diff(&read.topology, &again.topology), []);
    }
    if let Ok(read) = snapshot::parse(name, bytes) {
        few(&read.warnings);
        survives(&read);
    }
    if let Ok(read) = snapshot::from_cbor(bytes) {
        survives(&read);
    }
    if let Ok(read) = configuration::parse(name, bytes) {
        few(&read.warnings);
        assert_eq!(read.deadline.check(), Ok(()));
        assert_eq!(read.sync.check(), Ok(()));
    }
}

fn points(topology: &Topology) -> usize {
    let local = topology.local.iter().map(|group| group.access_points.len());
    let public = topology
        .public
        .iter()
        .map(|group| group.access_points.len());
    let bootstrap = topology.bootstrap.as_ref().map_or(0, Vec::len);
    local.chain(public).sum::<usize>() + bootstrap
}

fn few(warnings: &[Warning]) {
    assert!(warnings.len() <= WARNINGS_MAX + 1, "{}", warnings.len());
}

fn again<T>(read: Result<T, topology::Error>, text: &str) -> T {
    match read {
        Ok(read) => read,
        Err(error) => panic!("what was written is refused: {error}: {text}"),
    }
}

fn survives(read: &snapshot::File) {
    let text = snapshot::to_json(read);
    let json = again(snapshot::parse(Path::new(NAME), text.as_bytes()), &text);
    let cbor = match snapshot::from_cbor(&snapshot::to_cbor(read)) {
        Ok(cbor) => cbor,
        Err(error) => panic!("what was written is refused: {error}: {text}"),
    };
    for again in [json, cbor] {
        assert_eq!(again.snapshot, read.snapshot, "{text}");
        assert_eq!(again.magic, read.magic, "{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of every format, from which noise is made.
    const WELL_FORMED: [&str; 5] = [
        r#"{"bootstrapPeers":[{"address":"b.example","port":3001}],"localRoots":[{"accessPoints":
           [{"address":"192.0.2.1","port":3001},{"address":"_cardano._tcp.p.example"}],
           "hotValency":1,"warmValency":2,"trustable":true,"diffusionMode":"InitiatorOnly"}],
           "publicRoots":[{"accessPoints":[{"address":"::1","port":1}],"advertise":true}],
           "useLedgerAfterSlot":7,"peerSnapshotFile":"s.json"}"#,
        r#"{"LocalRoots":{"groups":[{"localRoots":{"accessPoints":[{"address":"x","port":1}],
           "advertise":true},"valency":1}]},"PublicRoots":[],"useLedgerAfterSlot":-1}"#,
        r#"{"Producers":[{"addr":"192.0.2.1","port":3001,"valency":1}]}"#,
        r#"{"NodeToClientVersion":23,"NetworkMagic":1,"Point":"origin","bigLedgerPools":[
           {"accumulatedStake":0.5,"relativeStake":5e-1,"relays":[{"address":"x","port":1}]}]}"#,
        r#"{"TargetNumberOfKnownPeers":150,"AcceptedConnectionsLimit":{"hardLimit":5,
           "softLimit":4,"delay":0.5},"ConsensusMode":"GenesisMode"}"#,
    ];

    #[test]
    fn files_with_a_byte_changed_or_cut_short_keep_the_laws() {
        for text in WELL_FORMED {
            let bytes = text.as_bytes();
            topology(bytes);
            for at in 0..bytes.len() {
                topology(&bytes[..at]);
                for other in [b'0', b'"', b'}', b',', 0xff] {
                    let mut changed = bytes.to_vec();
                    changed[at] = other;
                    topology(&changed);
                }
            }
        }
    }
}
