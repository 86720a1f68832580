in vec3 in_position;
in vec3 in_normal;
in vec3 in_rest;            // the same point of the neutral face
in vec4 in_texture;         // u, v, ambient light, depth inside the mouth, both 0 to 1
out vec3 at, normal, rest;
out vec4 spot;
void main() {
    at = in_position; normal = in_normal; rest = in_rest; spot = in_texture;
    gl_Position = project(in_position);
}
