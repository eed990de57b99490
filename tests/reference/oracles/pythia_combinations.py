"""Make combinations that look like B decays in e⁺e⁻ → qq̄ and BB̄ with PYTHIA; run by a Python with it.

Usage: pythia_combinations.py EVENTS FILE [SEED]; writes an npz with four-momenta E, x, y, z [GeV] in the
centre of mass, the electron along z, of true particles that are loosely at the energy and mass of a B meson:
`photons` (3, 4, N), a charged kaon and two photons, and `pairs` (3, 4, N), a charged kaon and two further
charged particles of opposite sign and one kind. With each come the number of its `sample` among `names`, and
its `event` in that; `photons_parent` and `pairs_parent` are the code of the particle of which the two are all
the products, else 0; `pairs_kind` is 0 to 3 for ee, μμ, ππ and KK. All samples have the same `luminosity`
[fb⁻¹]: EVENTS is the number of all of them together.
"""

import sys

import numpy as np
import pythia8mc

SQRT_S = 10.58
COMMON = ("Print:quiet = on", "Random:setSeed = on")
BEAMS = (
    "Beams:idA = 11", "Beams:idB = -11", f"Beams:eCM = {SQRT_S}", "PDF:lepton = on",
    "WeakSingleBoson:ffbar2gmZ = on", "23:mMin = 0.3", "PhaseSpace:mHatMin = 0.3", "23:onMode = off",
)  # fmt: skip
QUARKS = {"d": 1, "u": 2, "s": 3, "c": 4}
SIGMA = {"d": 0.40, "u": 1.61, "s": 0.38, "c": 1.30, "bb": 1.110}
"""Cross sections [nb] of full generators at the Υ(4S) (1808.10567, table 10)."""
MESONS = (521, 511)
DAUGHTERS = {11: 0, 13: 1, 211: 2, 321: 3}
ENERGY = {"photons": (-0.45, 0.8), "pairs": (-0.35, 0.35)}
MOMENTUM = {"photons": 1.2, "pairs": 1.0}
"""True energy difference to √s/2 and momentum [GeV] that a combination may have; detectors move them."""
SOFTEST = 0.03


def machine(settings, seed):
    pythia = pythia8mc.Pythia("", False)
    for setting in (*COMMON, f"Random:seed = {seed}", *settings):
        assert pythia.readString(setting)
    assert pythia.init()
    return pythia


def quarks(flavour, count, seed):
    pythia = machine((*BEAMS, f"23:onIfAny = {flavour}"), seed)
    made = 0
    while made < count:
        if pythia.next():
            made += 1
            yield pythia.event


def mesons(count, seed):
    """Decay B⁺B⁻ and B⁰B̄⁰ in turn, as of an Υ(4S) at rest, in a random direction."""
    pythia, rng = machine(("ProcessLevel:all = off",), seed), np.random.default_rng(seed)
    for i in range(count):
        code, axis = MESONS[i % 2], rng.standard_normal(3)
        mass = pythia.particleData.m0(code)
        x, y, z = axis * (np.sqrt(SQRT_S**2 / 4 - mass**2) / np.linalg.norm(axis))
        pythia.event.reset()
        pythia.event.append(code, 1, 0, 0, x, y, z, SQRT_S / 2, mass)
        pythia.event.append(-code, 1, 0, 0, -x, -y, -z, SQRT_S / 2, mass)
        if pythia.next():
            yield pythia.event


def vector(particle):
    return particle.e(), particle.px(), particle.py(), particle.pz()


def gather(event):
    """Return charged kaons, photons, hardest first, and charged particles by kind: (vector, index, sign)."""
    kaons, photons, charged = [], [], ([], [], [], [])
    for particle in event:
        if not particle.isFinal():
            continue
        code = abs(particle.id())
        if code == 22 and particle.e() > SOFTEST:
            photons.append((vector(particle), particle.index()))
        elif code in DAUGHTERS:
            one = (vector(particle), particle.index(), particle.charge())
            charged[DAUGHTERS[code]].append(one)
    kaons = charged[3]
    photons.sort(reverse=True)
    return kaons, photons, charged


def near(parts, kind):
    energy = sum(p[0] for p in parts) - SQRT_S / 2
    low, high = ENERGY[kind]
    if not low < energy < high:
        return False
    return sum(sum(p[i] for p in parts) ** 2 for i in (1, 2, 3)) < MOMENTUM[kind] ** 2


def parent(event, one, other, products=2):
    """Return the code of the particle of which two are all the products, or 0."""
    a, b = event[one].mother1(), event[other].mother1()
    if a != b or a == 0 or event[one].mother2() > a:
        return 0
    mother = event[a]
    return mother.id() if mother.daughter2() - mother.daughter1() == products - 1 else 0


def kaon_photons(event, kaons, photons):
    least = SQRT_S / 2 + ENERGY["photons"][0]
    for kaon, _, _ in kaons:
        for i, (one, here) in enumerate(photons):
            if kaon[0] + 2 * one[0] < least:
                break
            for other, there in photons[i + 1 :]:
                if kaon[0] + one[0] + other[0] < least:
                    break
                if near((kaon, one, other), "photons"):
                    yield (kaon, one, other), parent(event, here, there), 0


def kaon_pairs(event, kaons, charged):
    for kaon, own, _ in kaons:
        for kind, particles in enumerate(charged):
            for i, (one, here, sign) in enumerate(particles):
                for other, there, against in particles[i + 1 :]:
                    if sign == against or own in (here, there):
                        continue
                    if near((kaon, one, other), "pairs"):
                        yield (kaon, one, other), parent(event, here, there), kind


def main(count, path, seed):
    rows = {kind: [] for kind in ENERGY}
    for number, (name, share) in enumerate(SIGMA.items()):
        wanted = round(count * share / sum(SIGMA.values()))
        events = quarks(QUARKS[name], wanted, seed) if name in QUARKS else mesons(wanted, seed)
        for index, event in enumerate(events):
            kaons, photons, charged = gather(event)
            if not kaons:
                continue
            rows["photons"] += [(number, index, *rest) for rest in kaon_photons(event, kaons, photons)]
            rows["pairs"] += [(number, index, *rest) for rest in kaon_pairs(event, kaons, charged)]
    content = {"names": np.array(list(SIGMA)), "luminosity": np.array(count / (1e6 * sum(SIGMA.values())))}
    for kind, found in rows.items():
        numbers, events, momenta, parents, kinds = zip(*found, strict=True)
        content |= {f"{kind}_sample": np.array(numbers), f"{kind}_event": np.array(events)}
        content |= {kind: np.array(momenta).transpose(1, 2, 0), f"{kind}_parent": np.array(parents)}
        content |= {f"{kind}_kind": np.array(kinds)}
    np.savez(path, **content)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 7)
