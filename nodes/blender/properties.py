# mypy: disable-error-code="valid-type, misc"
"""What the artist chooses, kept with the scene in the .blend file."""

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, PointerProperty, StringProperty

_RELATIVE = (  # newer versions of Blender warn of // in properties that do not declare it
    {"PATH_SUPPORTS_BLEND_RELATIVE"}
    if "is_path_supports_blend_relative" in bpy.types.Property.bl_rna.properties
    else set()
)


class VfxmatteSettings(bpy.types.PropertyGroup):
    """One plate, its trimaps and where results go; times are scene frames."""

    plate_kind: EnumProperty(
        name="Plate",
        items=(
            ("CLIP", "Movie Clip", "A clip of the clip editor: image sequence or movie"),
            ("IMAGE", "Image", "An image sequence or movie of an Image node"),
        ),
    )
    clip: PointerProperty(
        name="Clip", type=bpy.types.MovieClip, description="Empty: the clip that is shown"
    )
    image: PointerProperty(name="Image", type=bpy.types.Image)
    frames: EnumProperty(
        name="Frames",
        items=(
            ("WHOLE", "Whole Plate", "Every frame of the plate"),
            ("SCENE", "Scene Range", "What of the plate lies in the scene's frame range"),
        ),
    )
    missing: EnumProperty(
        name="Missing Frames",
        description="What to do where the plate lacks a file between its first and its last",
        items=(
            ("ERROR", "Stop", "Do not start; say which frames are missing"),
            ("HOLD", "Hold", "Matte the frame before once more in its place"),
            ("SKIP", "Skip", "Leave them out; they have no matte"),
        ),
    )
    trimap_source: EnumProperty(
        name="Trimaps",
        items=(
            ("OUTLINE", "Outline and Band", "One roto outline; unknown along its edge"),
            ("LAYERS", "Mask Layers", "Mask layers named foreground and unknown"),
            ("FOLDER", "Painted", "Trimaps that lie in the trimaps folder already"),
        ),
    )
    mask: PointerProperty(
        name="Mask", type=bpy.types.Mask, description="Empty: the mask that is shown"
    )
    inward_px: FloatProperty(
        name="Inward",
        description="How far the unknown band reaches into the outline, in pixels of the plate",
        default=8,
        min=0,
        soft_max=100,
    )
    outward_px: FloatProperty(
        name="Outward",
        description="How far the unknown band reaches out of the outline, in pixels of the plate",
        default=8,
        min=0,
        soft_max=100,
    )
    keyframes: StringProperty(
        name="Keyframes",
        description="Scene frames that get a trimap: 1, 13, 25; empty: where the mask is keyed",
    )
    colorspace_from: EnumProperty(
        name="Colour Space",
        items=(
            ("BLENDER", "As in Blender", "What the clip or image is set to in Blender"),
            ("FILE", "From the File", "What the file says of itself, else the usual of its type"),
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
    wire: BoolProperty(
        name="Load into Compositor",
        description="Load the mattes and cut the plate out with them when the run is over",
        default=True,
    )
