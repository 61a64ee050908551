"""Shaders as small node trees for hair, skin, cloth, eyes, leaves, lamps, and hazy set pieces."""

from __future__ import annotations

from typing import Any

from training.render.shader_tree import Colour, Tree, Vec3


def hair(*, roughness: float, random_colour: float = 0.3, coat: float = 0.0) -> Any:
    """Create hair whose colour is the strand's `tint`."""
    tree = Tree("hair")
    node = tree.add("BsdfHairPrincipled")
    node.parametrization = "COLOR"
    tree.set(node, "Color", tree.attribute("tint"))
    tree.set(node, "Roughness", roughness)
    tree.set(node, "Radial Roughness", min(1.0, roughness + 0.15))
    tree.set(node, "Random Roughness", random_colour)
    if coat and "Coat" in node.inputs:
        tree.set(node, "Coat", coat)
    return tree.finish(node.outputs[0])


def skin(colour: Colour, *, roughness: float = 0.45) -> Any:
    """Create skin with light under the surface and fine unevenness."""
    tree = Tree("skin")
    dark = tuple(0.78 * c for c in colour)
    tone = tree.ramp(tree.noise(38.0, 6.0), [(0.3, dark), (0.7, colour)])  # type: ignore[list-item]
    node = tree.add("BsdfPrincipled", Base_Color=tone, Roughness=roughness)
    tree.set(node, "Subsurface Weight", 0.25)
    tree.set(node, "Subsurface Scale", 0.006)
    return tree.finish(node.outputs[0])


def plain(colour: Colour, *, roughness: float = 0.5, metallic: float = 0.0) -> Any:
    tree = Tree("plain")
    node = tree.add("BsdfPrincipled", Base_Color=colour, Roughness=roughness, Metallic=metallic)
    return tree.finish(node.outputs[0])


def knit(colour: Colour, *, scale: float = 220.0) -> Any:
    """Create woven cloth: fine ribs with a soft sheen."""
    tree = Tree("knit")
    coordinates = tree.add("TexCoord")
    wave = tree.add("TexWave", Scale=scale, Distortion=3.0, Detail=2.0)
    tree.set(wave, "Vector", coordinates.outputs["Object"])
    dark = tuple(0.45 * c for c in colour)
    shade = tree.ramp(wave.outputs["Fac"], [(0.1, dark), (0.8, colour)])  # type: ignore[list-item]
    bump = tree.add("Bump", Strength=0.5, Distance=0.002, Height=wave.outputs["Fac"])
    node = tree.add("BsdfPrincipled", Base_Color=shade, Roughness=0.85, Normal=bump.outputs[0])
    tree.set(node, "Sheen Weight", 0.4)
    return tree.finish(node.outputs[0])


def worn(*, scale: float = 300.0, sheen: float = 0.3) -> Any:
    """Create cloth of the mesh's `tint`, woven and a little soiled; it stays in place on a mesh
    that bends, by the mesh's `rest`."""
    tree = Tree("worn")
    place = tree.attribute("rest", "Vector")
    soil = tree.add("TexNoise", Vector=place, Scale=23.0, Detail=6.0).outputs[0]
    weave = tree.add("TexNoise", Vector=place, Scale=scale, Detail=2.0).outputs[0]
    shade = tree.ramp(soil, [(0.3, (0.62, 0.62, 0.62)), (0.7, (1.0, 1.0, 1.0))])
    grain = tree.ramp(weave, [(0.3, (0.6, 0.6, 0.6)), (0.7, (1.0, 1.0, 1.0))])
    colour = tree.multiply(tree.multiply(tree.attribute("tint"), shade), grain)
    bump = tree.add("Bump", Strength=0.4, Distance=0.004, Height=soil)
    node = tree.add("BsdfPrincipled", Base_Color=colour, Roughness=0.8, Normal=bump.outputs[0])
    tree.set(node, "Sheen Weight", sheen)
    return tree.finish(node.outputs[0])


def tinted(*, roughness: float = 0.6, translucent: float = 0.0, grain: float = 0.0) -> Any:
    """Create a surface of the mesh's `tint`; `translucent` lets light through, as leaves do."""
    tree = Tree("tinted")
    colour = tree.attribute("tint")
    if grain:
        stops = [(0.25, (0.35, 0.35, 0.35)), (0.75, (1.0, 1.0, 1.0))]
        colour = tree.multiply(colour, tree.ramp(tree.noise(grain, 8.0), stops))
    shader = tree.add("BsdfPrincipled", Base_Color=colour, Roughness=roughness).outputs[0]
    if translucent:
        through = tree.add("BsdfTranslucent", Color=colour).outputs[0]
        shader = tree.mix(translucent, shader, through)
    return tree.finish(shader)


def set_piece(
    *, haze: Colour, haze_m: float, translucent: float = 0.0, grain: float = 0.0, gloss: float = 0.8
) -> Any:
    """Create a tinted surface of a set that fades into `haze` with distance (63 % at `haze_m`)."""
    tree = Tree("set")
    colour = tree.attribute("tint")
    if grain:
        stops = [(0.3, (0.25, 0.25, 0.25)), (0.72, (1.0, 1.0, 1.0))]
        colour = tree.multiply(colour, tree.ramp(tree.noise(grain, 10.0), stops))
    shader = tree.add("BsdfPrincipled", Base_Color=colour, Roughness=gloss).outputs[0]
    if translucent:
        shader = tree.mix(translucent, shader, tree.add("BsdfTranslucent", Color=colour).outputs[0])
    distance = tree.add("CameraData").outputs["View Distance"]
    fall = _math(tree, "POWER", 2.718, _math(tree, "MULTIPLY", distance, -1.0 / haze_m))
    share = _math(tree, "SUBTRACT", 1.0, fall)
    tree.material.cycles.emission_sampling = "NONE"
    return tree.finish(tree.mix(share, shader, tree.add("Emission", Color=haze).outputs[0]))


def lamp(strength: float, *, sampled: bool = True) -> Any:
    """Create a light source whose colour is the mesh's `tint`, `strength` times over.

    `sampled` sends light rays towards it; dim and large ones render faster without.
    """
    tree = Tree("lamp")
    node = tree.add("Emission", Color=tree.attribute("tint"), Strength=strength)
    tree.material.cycles.emission_sampling = "AUTO" if sampled else "NONE"
    return tree.finish(node.outputs[0])


def veil(colour: Colour, *, least: float, most: float, scale: float) -> Any:
    """Create gauze, lace or plastic with a coverage between `least` and `most`, in patches."""
    tree = Tree("veil")
    cover = tree.add("MapRange", Value=tree.noise(scale, 6.0))
    cover.inputs["From Min"].default_value, cover.inputs["From Max"].default_value = 0.3, 0.7
    cover.inputs["To Min"].default_value, cover.inputs["To Max"].default_value = least, most
    cloth = tree.add("BsdfPrincipled", Base_Color=colour, Roughness=0.7).outputs[0]
    lit = tree.mix(0.4, cloth, tree.add("BsdfTranslucent", Color=colour).outputs[0])
    return tree.finish(tree.mix(cover.outputs[0], tree.add("BsdfTransparent").outputs[0], lit))


def glass(colour: Colour, *, roughness: float, index: float) -> Any:
    tree = Tree("glass")
    node = tree.add("BsdfGlass", Color=colour, Roughness=roughness, IOR=index)
    return tree.finish(node.outputs[0])


def smoke(colour: Colour, *, density: float, scale: float, offset: Vec3) -> Any:
    """Create a cloud within a unit ball: noise that fades towards the ball's surface."""
    tree = Tree("smoke")
    place = tree.add("TexCoord").outputs["Object"]
    moved = tree.add("Mapping", Vector=place, Location=offset).outputs[0]
    noise = tree.add("TexNoise", Vector=moved, Scale=scale, Detail=7.0).outputs[0]
    ball = tree.add("TexGradient", Vector=place)
    ball.gradient_type = "SPHERICAL"
    wisps = tree.add("MapRange", Value=noise)
    wisps.inputs["From Min"].default_value, wisps.inputs["From Max"].default_value = 0.46, 0.7
    thick = _math(tree, "MULTIPLY", wisps.outputs[0], ball.outputs["Fac"])
    volume = tree.add("VolumePrincipled", Color=colour)
    tree.set(volume, "Density", _math(tree, "MULTIPLY", thick, density))
    output = tree.add("OutputMaterial")
    tree.set(output, "Volume", volume.outputs[0])
    return tree.material


def marbled(first: Colour, second: Colour, *, scale: float, roughness: float) -> Any:
    """Create two colours in noise, for bodies and solids."""
    tree = Tree("marbled")
    colour = tree.ramp(tree.noise(scale, 6.0), [(0.4, first), (0.6, second)])
    node = tree.add("BsdfPrincipled", Base_Color=colour, Roughness=roughness)
    return tree.finish(node.outputs[0])


def wet_ground(dark: Colour, light: Colour) -> Any:
    """Create asphalt with puddles: rough where dry, mirror-like where wet."""
    tree = Tree("wet")
    patches = tree.noise(0.6, 6.0)
    colour = tree.ramp(tree.noise(14.0, 8.0), [(0.3, dark), (0.7, light)])
    rough = tree.add("MapRange", Value=patches)
    rough.inputs["From Min"].default_value, rough.inputs["From Max"].default_value = 0.4, 0.62
    rough.inputs["To Min"].default_value, rough.inputs["To Max"].default_value = 0.06, 0.5
    node = tree.add("BsdfPrincipled", Base_Color=colour, Roughness=rough.outputs[0])
    return tree.finish(node.outputs[0])


def eye(iris: Colour) -> Any:
    """Create an eyeball that looks along its own -Y: pupil, iris, white, with a wet surface."""
    tree = Tree("eye")
    split = tree.add("SeparateXYZ", Vector=tree.add("TexCoord").outputs["Object"])
    facing = _math(tree, "MULTIPLY", split.outputs["Y"], -1.0)
    bright = tuple(min(1.0, 1.8 * c) for c in iris)
    stops: list[tuple[float, Colour]] = [
        (0.0, (0.6, 0.55, 0.5)),
        (0.68, (0.6, 0.55, 0.5)),
        (0.72, iris),
        (0.86, bright),  # type: ignore[list-item]
        (0.9, (0.004, 0.004, 0.004)),
    ]
    colour = tree.ramp(facing, stops)
    node = tree.add("BsdfPrincipled", Base_Color=colour, Roughness=0.04)
    tree.set(node, "Coat Weight", 1.0)
    return tree.finish(node.outputs[0])


def _math(tree: Tree, operation: str, a: Any, b: Any) -> Any:
    node = tree.add("Math")
    node.operation = operation
    tree.set(node, 0, a)
    tree.set(node, 1, b)
    return node.outputs[0]
