//! Journeys across the fleet.
