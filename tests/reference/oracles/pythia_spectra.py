"""Make e⁺e⁻ → μμ, ττ and qq̄ with PYTHIA; run by a Python that has `pythia8mc`.

Usage: pythia_spectra.py EVENTS FILE; writes an npz with four-momenta E, x, y, z [GeV] in the centre of mass,
the electron along z, and cross sections [nb]: `muons` (2, 4, N) of μ⁻ and μ⁺, `tau` (4, 2N), the only charged
particle of each τ, its `kind` (11, 13, 211 for any hadron, 0 where there are several), `pair_mass` (N) of the
τ pair, and `sigma_13`, `sigma_15`, `sigma_1` … of each flavour. Final-state radiation is off and τ leptons
are unpolarised, as in the generator.
"""

import sys

import numpy as np
import pythia8mc

# With 'TauDecays:mode = 0' leptons of the τ follow phase space, not the Michel spectrum.
SETTINGS = (
    "Beams:idA = 11", "Beams:idB = -11", "Beams:eCM = 10.58", "PDF:lepton = on", "PartonLevel:FSR = off",
    "WeakSingleBoson:ffbar2gmZ = on", "23:mMin = 0.3", "PhaseSpace:mHatMin = 0.3", "TauDecays:mode = 3",
    "TauDecays:tauPolarization = 0",
    "23:onMode = off", "Print:quiet = on", "Random:setSeed = on", "Random:seed = 7",
)  # fmt: skip


def machine(flavour, hadrons):
    pythia = pythia8mc.Pythia("", False)
    further = f"HadronLevel:all = {'on' if hadrons else 'off'}"
    for setting in (*SETTINGS, f"23:onIfAny = {flavour}", further):
        assert pythia.readString(setting)
    assert pythia.init()
    return pythia


def events(pythia, count):
    made = 0
    while made < count:
        if pythia.next():
            made += 1
            yield pythia.event


def vector(particle):
    return particle.e(), particle.px(), particle.py(), particle.pz()


def last(event, code):
    return max(i for i in range(event.size()) if event[i].id() == code)


def charged(event, index):
    """Return the charged particles that come from one particle, those of kaons and pions in flight left."""
    found, open_ = [], [index]
    while open_:
        particle = event[open_.pop()]
        if particle.isFinal() or abs(particle.id()) in (13, 130, 211, 310, 321):
            found += [particle] * bool(particle.isCharged())
        else:
            open_ += list(particle.daughterList())
    return found


def kind(particles):
    if len(particles) != 1:
        return 0
    code = abs(particles[0].id())
    return code if code in (11, 13) else 211


def main(count, path):
    content = {}
    pythia = machine(13, False)
    pairs = [[vector(e[last(e, code)]) for code in (13, -13)] for e in events(pythia, count)]
    content["muons"] = np.array(pairs).transpose(1, 2, 0)
    content["sigma_13"] = pythia.infoPython().sigmaGen() * 1e6
    pythia = machine(15, True)
    rows, kinds, masses = [], [], []
    for event in events(pythia, count):
        taus = [event[last(event, code)] for code in (15, -15)]
        for tau in taus:
            particles = charged(event, tau.index())
            kinds.append(kind(particles))
            rows.append(vector(particles[0]) if kinds[-1] else (0.0,) * 4)
        masses.append((taus[0].p() + taus[1].p()).mCalc())
    content |= {"tau": np.array(rows).T, "kind": np.array(kinds), "pair_mass": np.array(masses)}
    content["sigma_15"] = pythia.infoPython().sigmaGen() * 1e6
    for flavour in (1, 2, 3, 4):
        pythia = machine(flavour, False)
        assert sum(1 for _ in events(pythia, count // 4))
        content[f"sigma_{flavour}"] = pythia.infoPython().sigmaGen() * 1e6
    np.savez(path, **content)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
