//! All other nodes that are known.

use super::action::PeerId;
use super::peer::{Life, Peer};
use super::settings::MOST_NODES;

/// All other nodes that are known. No two have the same URI, and no two the same name.
#[derive(Clone, Debug, Default)]
pub struct Peers(Vec<Option<Peer>>);

impl Peers {
    /// Returns the place of the peer with a URI; adds one if there is none.
    ///
    /// If there are as many as there may be, the one is forgotten that has been silent for the longest time. Returns `None`
    /// if all of them are members or named by the config.
    pub fn at(&mut self, uri: &str, configured: bool, time_ms: u64) -> Option<PeerId> {
        if let Some((id, _)) = self.iter().find(|(_, peer)| peer.uri == uri) {
            return Some(id);
        }
        let peer = Some(Peer::at(uri, configured, time_ms));
        let place = match self.0.iter().position(Option::is_none) {
            Some(place) => place,
            None if self.0.len() + 1 < MOST_NODES => {
                self.0.push(None);
                self.0.len() - 1
            }
            None => self.most_silent()?.0,
        };
        *self.0.get_mut(place)? = peer;
        Some(PeerId(place))
    }

    /// Returns the peer that is forgotten if one with this URI is added.
    #[must_use]
    pub fn in_the_way_of(&self, uri: &str) -> Option<PeerId> {
        let is_known = self.iter().any(|(_, peer)| peer.uri == uri);
        let is_full = self.iter().count() + 1 >= MOST_NODES;
        self.most_silent().filter(|_| is_full && !is_known)
    }

    fn most_silent(&self) -> Option<PeerId> {
        let all = self.iter().map(|(id, peer)| (peer.remembered_ms, id, peer));
        let mut silent = all.filter(|(_, _, peer)| peer.alive().is_none() && !peer.configured);
        let first = silent.next()?;
        let most = silent.fold(first, |most, one| if one.0 < most.0 { one } else { most });
        Some(most.1)
    }

    /// Returns the place of the peer with a name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<PeerId> {
        let mut all = self.iter();
        let named = |life: &Life| life.name == name;
        Some(
            all.find(|(_, peer)| peer.life.as_ref().is_some_and(named))?
                .0,
        )
    }

    /// Returns a peer.
    #[must_use]
    pub fn get(&self, id: PeerId) -> Option<&Peer> {
        self.0.get(id.0)?.as_ref()
    }

    /// Returns a peer, to change it.
    pub fn get_mut(&mut self, id: PeerId) -> Option<&mut Peer> {
        self.0.get_mut(id.0)?.as_mut()
    }

    /// Forgets a peer; of one that the config names, all but the URI.
    pub fn forget(&mut self, id: PeerId, time_ms: u64) {
        if let Some(place) = self.0.get_mut(id.0) {
            let configured = place.take().filter(|peer| peer.configured);
            *place = configured.map(|peer| Peer::at(&peer.uri, true, time_ms));
        }
    }

    /// Returns all peers.
    pub fn iter(&self) -> impl Iterator<Item = (PeerId, &Peer)> + Clone {
        let places = self.0.iter().enumerate();
        places.filter_map(|(place, peer)| Some((PeerId(place), peer.as_ref()?)))
    }

    /// Returns all peers, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (PeerId, &mut Peer)> {
        let places = self.0.iter_mut().enumerate();
        places.filter_map(|(place, peer)| Some((PeerId(place), peer.as_mut()?)))
    }

    /// Returns the places of all peers.
    #[must_use]
    pub fn ids(&self) -> Vec<PeerId> {
        self.iter().map(|(id, _)| id).collect()
    }

    /// Returns what is known of the members.
    pub fn alive(&self) -> impl Iterator<Item = &Life> {
        self.iter().filter_map(|(_, peer)| peer.alive())
    }
}
