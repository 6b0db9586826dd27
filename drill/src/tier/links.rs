//! Proxies on the links of a tier, before it is started.

use super::{Error, Role, Tier, io_error};
use crate::proxy::Proxy;

impl Tier {
    /// Puts a proxy on each link from this edge to the origins, in their order. In force when the edge is started.
    ///
    /// # Errors
    /// If there is no such edge, or no port or thread to be had.
    pub fn proxies_to_origins(&mut self, edge: &str) -> Result<Vec<Proxy>, Error> {
        let origins = self.names(Role::Origin);
        let proxies = origins.iter().map(|origin| self.proxy_to(origin)).collect::<Result<Vec<_>, _>>()?;
        let addresses: Vec<_> = proxies.iter().map(|proxy| proxy.address().to_string()).collect();
        self.set(edge, "edge.origins", &format!("{addresses:?}"))?;
        Ok(proxies)
    }

    /// Puts a proxy on the link from this origin to a home. In force when the origin is started.
    ///
    /// # Errors
    /// If there is no such origin or home, or no port or thread to be had.
    pub fn proxy_to_home(&mut self, origin: &str, home: &str) -> Result<Proxy, Error> {
        let proxy = self.proxy_to(home)?;
        self.set(origin, &format!("origin.homes.{home}"), &proxy.address().to_string())?;
        Ok(proxy)
    }

    fn proxy_to(&mut self, node: &str) -> Result<Proxy, Error> {
        let (listen, target) = (self.free_address()?, self.address(node)?);
        Proxy::start(listen, target).map_err(io_error(format!("a proxy before {node}")))
    }
}
