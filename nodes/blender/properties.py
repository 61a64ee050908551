# mypy: disable-error-code="valid-type, misc"
"""The panel's settings, stored with the scene in the .blend file."""

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, PointerProperty, StringProperty

_RELATIVE = (  # newer versions of Blender warn of // in properties that do not declare it
    {"PATH_SUPPORTS_BLEND_RELATIVE"}
    if "is_path_supports_blend_relative" in bpy.types.Property.bl_rna.properties
    else set()
)


def _band_width(name, side):
    description = f"Width of the unknown band {side} the outline, in pixels of the plate"
    return FloatProperty(name=name, description=description, default=8, min=0, soft_max=100)


class VfxmatteSettings(bpy.types.PropertyGroup):
    """Settings for one plate, its trimaps and its results; frames are scene frames."""

    plate_kind: EnumProperty(
        name="Plate",
        items=(
            ("CLIP", "Movie Clip", "A clip of the clip editor: image sequence or movie"),
            ("IMAGE", "Image", "An image sequence or movie of an Image node"),
        ),
    )
    clip: PointerProperty(
        name="Clip",
        type=bpy.types.MovieClip,
        description="The clip to matte; leave empty for the one in the editor",
    )
    image: PointerProperty(
        name="Image", type=bpy.types.Image, description="The image sequence or movie to matte"
    )
    frames: EnumProperty(
        name="Frames",
        items=(
            ("WHOLE", "Whole Plate", "Every frame of the plate"),
            ("SCENE", "Scene Range", "The part of the plate within the scene's frame range"),
        ),
    )
    missing: EnumProperty(
        name="Missing Frames",
        description="What to do if files are missing between the plate's first and last frame",
        items=(
            ("ERROR", "Stop", "Do not start, and list the missing frames"),
            ("HOLD", "Hold", "Solve the previous frame again in place of a missing one"),
            ("SKIP", "Skip", "Write no matte for missing frames"),
        ),
    )
    trimap_source: EnumProperty(
        name="Trimaps",
        items=(
            ("OUTLINE", "Outline and Band", "One roto outline; unknown along its edge"),
            ("LAYERS", "Mask Layers", "Mask layers named foreground and unknown"),
            ("FOLDER", "Painted", "Trimaps already in the trimaps folder"),
        ),
    )
    mask: PointerProperty(
        name="Mask",
        type=bpy.types.Mask,
        description="The mask to draw trimaps from; leave empty for the one in the editor",
    )
    subject: StringProperty(
        name="Subject",
        description=(
            "Of several subjects, the one that these trimaps are of; leave empty for a single one, "
            "or, with painted trimaps, for all that have a folder in the trimaps folder"
        ),
    )
    inward_px: _band_width("Inward", "inside")
    outward_px: _band_width("Outward", "outside")
    keyframes: StringProperty(
        name="Keyframes",
        description="Scene frames with a trimap: 1, 13, 25; leave empty for the mask's keys",
    )
    garbage: PointerProperty(
        name="Garbage Matte",
        type=bpy.types.Mask,
        description="The matte is 0 outside of this mask; leave empty for none",
    )
    core: PointerProperty(
        name="Core Matte",
        type=bpy.types.Mask,
        description="The matte is 1 inside of this mask; leave empty for none",
    )
    clean_plate: PointerProperty(
        name="Clean Plate",
        type=bpy.types.Image,
        description=(
            "What is behind the subject: a still, or a sequence or movie with the plate's frames; "
            "leave empty for none"
        ),
    )
    colorspace_from: EnumProperty(
        name="Colour Space",
        items=(
            ("BLENDER", "As in Blender", "The colour space set for the clip or image in Blender"),
            (
                "FILE",
                "From the File",
                "The colour space in the file's header, else the default of its type",
            ),
            ("NAME", "By Name", "A colour space of the engine's OpenColorIO configuration"),
        ),
    )
    colorspace: StringProperty(name="Name", description="For example ACEScg; see vfxmatte info")
    folder: StringProperty(
        name="Folder",
        description=(
            "Trimaps and mattes go in here, into folders named after the .blend file, the scene, "
            "the plate and the mask"
        ),
        default="//vfxmatte/",
        subtype="DIR_PATH",
        options={"ANIMATABLE", *_RELATIVE},
    )
    foreground: BoolProperty(
        name="Foreground Colour",
        description=(
            "Write the foreground's own colour into the mattes, free of the background's along "
            "soft edges, and cut out with it in place of the plate's"
        ),
        default=False,
    )
    wire: BoolProperty(
        name="Load into Compositor",
        description="After the run, load the mattes and cut out the plate with them",
        default=True,
    )
