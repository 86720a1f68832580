in vec3 in_position;
in vec3 in_normal;
in vec4 in_color;           // rgb and ambient light
in float in_gloss;
out vec3 at, normal;
out vec4 paint;
out float gloss;
void main() {
    at = in_position; normal = in_normal; paint = in_color; gloss = in_gloss;
    gl_Position = project(in_position);
}
